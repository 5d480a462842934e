"""A distillation begins a training of its own, whatever run its student was of."""
import shlex
from pathlib import Path

import pytest
from mmengine.config import Config

from cli.conftest import fork, invoke
from ctkd_det_cli.training import Training
from ctkd_det_cli.training.run import configured
from helpers import CONFIGS, make_shapes, student_config, use_data

TEACHER = ('--teacher', CONFIGS / 'shapes' / 'teacher.py',
           '--teacher-ckpt', CONFIGS / 'shapes' / 'teacher.pth')


@pytest.fixture
def student(tmp_path, monkeypatch):
    """A plain config in the current folder, with data, and with a folder of its own."""
    monkeypatch.chdir(tmp_path)
    student_config(make_shapes(tmp_path / 'data')).dump('plain.py')
    Path('mine.py').write_text("_base_ = 'plain.py'\nwork_dir = 'work_dirs/mine'\n")
    return Path('mine.py')


def work_dir(config):
    return configured(Training(Path(config))).work_dir


def test_no_training_is_in_the_folder_of_the_students_own(student):
    assert invoke('distill', student, *TEACHER, '--dry-run', '--with-baseline').exit_code == 0
    for seed in (1, 2):
        assert invoke('distill', student, *TEACHER, '--dry-run', '--seed', seed).exit_code == 0
    name = 'mine_ctkd_teacher'
    assert [work_dir(f'{file}.py') for file in (
        name, f'{name}_alone', f'seed_1/{name}', f'seed_2/{name}')] == [
            f'work_dirs/{name}', f'work_dirs/{name}_alone', f'work_dirs/seed_1/{name}',
            f'work_dirs/seed_2/{name}']
    assert work_dir(student) == 'work_dirs/mine'  # of a plain training it is the user's word
    invoke('distill', 'plain.py', *TEACHER, '--dry-run')
    assert 'work_dir' not in Path('plain_ctkd_teacher.py').read_text()


@pytest.mark.parametrize('resume, load_from, expected', [
    (False, 'weights.pth', 'weights.pth'), (True, None, None), (True, 'epoch_1.pth', None)])
def test_a_resumed_training_is_not_gone_on_with(student, resume, load_from, expected):
    """MMEngine's copy of a config has the word, and the checkpoint that was resumed."""
    cfg = Config.fromfile('mine.py')
    cfg.resume, cfg.load_from = resume, load_from
    cfg.dump('copy.py')
    result = invoke('distill', 'copy.py', *TEACHER, '--dry-run', '--with-baseline')
    assert result.exit_code == 0, result.output
    for file in ('copy_ctkd_teacher', 'copy_ctkd_teacher_alone'):
        written = configured(Training(Path(f'{file}.py')))
        assert not written.resume and written.load_from == expected
    assert ('begins anew' in result.output) == resume
    assert ('without epoch_1.pth' in result.output) == (load_from == 'epoch_1.pth')
    again = configured(Training(Path('copy_ctkd_teacher.py'), cfg_options=['load_from=a.pth']))
    assert again.load_from == 'a.pth'


def test_a_baseline_has_a_folder_of_its_own(student):
    line = ['distill', student, *TEACHER, '--dry-run', '--with-baseline']
    shared = invoke(*line, '--cfg-options', 'work_dir=both')
    assert shared.exit_code == 2 and '--work-dir FOLDER' in shared.output
    assert not list(Path().glob('*_ctkd_*'))
    shown = invoke(*line, '--work-dir', 'both/').output
    assert '--work-dir both/\n' in shown and '--work-dir both_alone\n' in shown


PRESS = '''
import os
import signal
from pathlib import Path
from mmdet.registry import HOOKS
from mmengine.hooks import Hook


@HOOKS.register_module()
class PressOnce(Hook):
    """Ctrl-C after the first epoch, once in each work directory."""

    def before_train_epoch(self, runner):
        mark = Path(runner.work_dir, 'pressed')
        if runner.epoch == 1 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGINT)
'''


def test_the_command_that_is_shown_after_ctrl_c_does_all_that_was_asked_for(folder, tmp_path):
    """In the baseline, then in the student's training; the third time both are compared."""
    (tmp_path / 'press_once.py').write_text(PRESS)
    cfg = use_data(student_config(max_epochs=2), folder / 'shapes')
    cfg.custom_imports = dict(imports=['press_once'], allow_failed_imports=False)
    cfg.custom_hooks = [dict(type='PressOnce')]
    cfg.dump(tmp_path / 'student.py')
    words = ['distill', 'student.py', '--teacher', folder / 'teacher' / 'teacher.py',
             '--teacher-ckpt', folder / 'teacher' / 'teacher.pth', '--with-baseline', '--out',
             'my x.py', '--work-dir', 'w', '--cfg-options', 'train_dataloader.batch_size=4']
    expected = shlex.join(['ctkd-det', *map(str, words), '--resume'])
    for stopped in ('w_alone', 'w'):
        status, printed = fork(*words, cwd=tmp_path)
        assert status == 130, printed[-2000:]
        assert f'The last checkpoint is {stopped}/epoch_1.pth' in printed
        assert f'\n  {expected}\n' in printed
        words = shlex.split(expected)[1:]
    status, printed = fork(*words, cwd=tmp_path)
    assert status == 0 and 'without the teacher' in printed, printed[-2000:]
