"""A distillation begins a training of its own, whatever run its student was of."""
from pathlib import Path

import pytest
from mmengine.config import Config

from cli.conftest import invoke
from ctkd_det_cli.training import Training
from ctkd_det_cli.training.run import configured
from helpers import CONFIGS, make_shapes, student_config

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
