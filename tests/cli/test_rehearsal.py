"""What only the training could say of a teacher is said before a file is written."""
import re
import shutil

import pytest
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from cli.conftest import ELSEWHERE, invoke
from helpers import CLASSES, CONFIGS, make_teacher

SWAPPED = (*CLASSES[1::-1], *CLASSES[2:])


@pytest.fixture(scope='module')
def teachers(tmp_path_factory):
    """The weights of teachers that are not what ``teacher.py`` says, by what is wrong."""
    root = tmp_path_factory.mktemp('teachers')
    make_teacher(root / 'swapped', SWAPPED)
    make_teacher(root / 'thick', roi_head=dict(bbox_head=dict(fc_out_channels=32)))
    return root


def lines(folder, out, weights, *options):
    return ['distill', folder / 'student.py', '--teacher', folder / 'teacher' / 'teacher.py',
            '--teacher-ckpt', weights, '--data', folder / 'shapes', '--out', out, *options]


@pytest.mark.parametrize('options', [['--dry-run'], ['--with-baseline']], ids=['dry', 'baseline'])
@pytest.mark.parametrize('wrong, message', [
    ('swapped', 'was trained with other classes.*--class-mapping by_name'),
    ('thick', 'does not hold the weights of teacher_config')])
def test_a_wrong_checkpoint_is_refused_before_anything(wrong, message, options, folder, teachers,
                                                       tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*lines(folder, tmp_path / 'x.py', teachers / wrong / 'teacher.pth', *options))
    assert result.exit_code == 1 and re.search(message, ' '.join(result.output.split()))
    assert not list(tmp_path.iterdir())
    assert len(result.output.splitlines()) < 6
    if wrong == 'swapped':  # what the message advises
        assert invoke(*lines(folder, 'x.py', teachers / wrong / 'teacher.pth', '--dry-run',
                             '--class-mapping', 'by_name')).exit_code == 0


@pytest.mark.parametrize('there', [True, False])
def test_a_loss_that_the_student_cannot_have(there, folder, tmp_path):
    """Weights that are not fetched keep no loss from being looked at."""
    weights = folder / 'teacher' / 'teacher.pth' if there else ELSEWHERE
    out = tmp_path / 'x.py'
    refused = invoke(*lines(folder, out, weights, '--dry-run', '--method', 'boxkd_iou'))
    assert refused.exit_code == 1 and not out.exists()
    assert 'Error: loss_boxkd: BoxKDLoss compares boxes at every location' in refused.output
    assert invoke(*lines(folder, out, weights, '--dry-run', '--inherit', 'neck')).exit_code == 0


@pytest.mark.parametrize('config, data, said', [
    ('own', True, r"the teacher \S+teacher\.py has 5 classes, the student 8\. It was trained on \("
     r".*Take a teacher that was trained on these classes$"),
    ('own', False, r'has 5 classes, the student 80\. .*on these classes; or give --data FOLDER'),
    ('base', True, r"The checkpoint has 5 classes, \('triangle', .*\), and its config 8\. Give the "
     r'config with which the checkpoint was trained, .*, or a checkpoint [^;]*\. size'),
    ('base', False, r"checkpoint of the teacher \S+ has 5 classes, \('triangle', .*\), and its "
     r'config 8; the student has 80\. Give the config .*; or give --data FOLDER')],
    ids=['teacher', 'no-data', 'config', 'config-and-no-data'])
def test_who_has_how_many_classes(config, data, said, folder, tmp_path):
    made = make_teacher(tmp_path, CLASSES[:5], roi_head=dict(bbox_head=dict(num_classes=5)))
    student = folder / 'student.py' if data else 'faster-rcnn_r50_fpn_1x_coco'
    result = invoke('distill', student, '--teacher', made['teacher_config'] if config == 'own' else
                    folder / 'teacher' / 'teacher.py', '--teacher-ckpt', made['teacher_ckpt'],
                    *(['--data', folder / 'shapes'] if data else []), '--dry-run', '--out',
                    tmp_path / 'x.py')
    assert result.exit_code == 1 and not (tmp_path / 'x.py').exists()
    assert re.search(said, ' '.join(result.output.split())), result.output


def test_weights_elsewhere_are_fetched_for_a_training_only(folder, teachers, tmp_path, monkeypatch):
    """And before its baseline."""
    monkeypatch.chdir(tmp_path)
    load, fetched = CheckpointLoader.load_checkpoint, []

    def fetch(name, **options):
        fetched.append(name)
        return load(str(teachers / 'swapped' / 'teacher.pth'), **options)

    monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', fetch)
    line = lines(folder, tmp_path / 'x.py', ELSEWHERE, '--with-baseline')
    refused = invoke(*line)
    assert refused.exit_code == 1 and 'was trained with other classes' in refused.output
    assert fetched == [ELSEWHERE] and not list(tmp_path.iterdir())
    assert invoke(*line, '--dry-run').exit_code == 0 and len(fetched) == 1


def test_the_overrides_of_the_training_count(folder, teachers, tmp_path):
    right, wrong = folder / 'teacher' / 'teacher.pth', teachers / 'thick' / 'teacher.pth'
    for given, instead, status in ((wrong, right, 0), (right, wrong, 1)):
        result = invoke(*lines(folder, tmp_path / 'x.py', given, '--dry-run', '--force',
                               '--cfg-options', f'model.teacher_ckpt={instead}'))
        assert result.exit_code == status, result.output


def test_the_very_config_is_read_where_it_will_lie(folder, tmp_path):
    """Its base and its teacher are named by its own folder, and its data lie there."""
    for name in ('student.py', 'teacher', 'shapes'):
        copy = shutil.copytree if (folder / name).is_dir() else shutil.copy
        copy(folder / name, tmp_path / name)
    result = invoke(*lines(tmp_path, tmp_path / 'x.py', tmp_path / 'teacher' / 'teacher.pth',
                           '--dry-run'))
    assert result.exit_code == 0, result.output
    assert "'{{ fileDirname }}/teacher/teacher.py'" in (tmp_path / 'x.py').read_text()
    assert Config.fromfile(tmp_path / 'x.py').model.teacher_config.startswith(str(tmp_path))


def test_the_example_of_another_students_names(folder, tmp_path):
    """The names are the data's; without --data they are those of the student's config."""
    (tmp_path / 's.py').write_text(
        f"_base_ = {str(folder / 'student.py')!r}\n"
        f'train_dataloader = dict(dataset=dict(metainfo=dict(classes={SWAPPED!r})))\n')
    result = invoke('distill', tmp_path / 's.py', '--teacher', CONFIGS / 'shapes' / 'teacher.py',
                    '--teacher-ckpt', CONFIGS / 'shapes' / 'teacher.pth', '--dry-run', '--out',
                    tmp_path / 'x.py')
    assert result.exit_code == 1 and not (tmp_path / 'x.py').exists()
    assert "0: 'triangle' / 'square'" in result.output


def test_checkpoints_in_the_way_are_seen_before_their_config_is_replaced(folder, tmp_path):
    """Of both trainings; a dry run replaces the config alone, and a resume goes on with them."""
    out, work = tmp_path / 'x.py', tmp_path / 'work'
    line = lines(folder, out, folder / 'teacher' / 'teacher.pth', '--work-dir', work)
    assert invoke(*line, '--dry-run').exit_code == 0
    before = out.read_text()
    for taken in (work, tmp_path / 'work_alone'):
        taken.mkdir()
        (taken / 'epoch_1.pth').touch()
        refused = invoke(*line, '--method', 'kd', '--with-baseline')
        assert refused.exit_code == 1 and out.read_text() == before
        assert f'Error: {taken} has checkpoints of a training (epoch_1.pth)' in refused.output
        assert not (tmp_path / 'x_alone.py').exists()
        (taken / 'epoch_1.pth').unlink()
    (work / 'epoch_1.pth').touch()
    assert invoke(*line, '--method', 'kd', '--dry-run').exit_code == 0
    assert out.read_text() != before
    resumed = invoke(*line, '--method', 'dkd', '--resume')
    assert 'no checkpoint in' in resumed.output and 'DKDLoss' in out.read_text()
    overridden = invoke(*line, '--method', 'dkd', '--cfg-options', 'resume=True')
    assert 'no checkpoint in' in overridden.output


def test_a_checkpoint_hook_that_does_not_exist(folder, tmp_path):
    line = lines(folder, tmp_path / 'x.py', folder / 'teacher' / 'teacher.pth', '--work-dir',
                 tmp_path / 'work', '--cfg-options')
    result = invoke(*line, 'default_hooks.checkpoint.type=NoHook')
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert 'NoHook' in result.output
