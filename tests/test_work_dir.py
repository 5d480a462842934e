"""What is read from a work directory as mmengine leaves it."""
import json
import os
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config

from ctkd_det.curves import read_scalars
from ctkd_det.starts import number_start, starts
from ctkd_det.work_dir import WorkDir, WorkDirError, find_runs


def start(folder, part, records=(), end='', **config):
    """One start of a training, or of a test if it logs nothing."""
    data = folder / part / 'vis_data'
    data.mkdir(parents=True)
    if records:
        (data / 'scalars.json').write_text('\n'.join(map(json.dumps, records)) + '\n' + end)
    Config(config).dump(data / 'config.py')
    Config(config).dump(folder / 'mine.py')
    (folder / part / f'{part}.log').touch()


def test_parts_are_joined_and_the_later_one_counts(tmp_path):
    start(tmp_path, '20260101_000000', [dict(loss=1.0, iter=s, step=s) for s in (1, 2, 3)],
          end='{"loss": 0.')
    start(tmp_path, '20260102_000000', [dict(loss=2.0, iter=s, step=s) for s in (3, 4)])
    assert read_scalars(tmp_path)['loss'] == ([1, 2, 3, 4], [1.0, 1.0, 2.0, 2.0])


def test_a_later_part_counts_from_its_first_iteration_on(tmp_path):
    """Three epochs of 5 iterations; resumed after two, with 2 iterations an epoch."""
    def records(first, last, length, loss):
        for step in range(first, last + 1):
            yield dict(loss=loss, epoch=(step - 1) // length + 1, iter=step, step=step)
            if step % length == 0:
                yield {'coco/bbox_mAP': loss, 'step': step // length}

    start(tmp_path, '20260101_000000', list(records(1, 15, 5, 1.0)))
    start(tmp_path, '20260102_000000', list(records(5, 8, 2, 2.0)))
    curves = read_scalars(tmp_path)
    assert curves['loss'] == (list(range(1, 9)), [1.0] * 4 + [2.0] * 4)
    assert curves['coco/bbox_mAP'] == ([1, 2, 3, 4], [1.0, 1.0, 2.0, 2.0])
    # a training that began anew, and has not been validated
    start(tmp_path, '20260103_000000', list(records(1, 1, 2, 3.0)))
    assert {name: points for name, points in read_scalars(tmp_path).items()
            if name != 'iter'} == dict(loss=([1], [3.0]), epoch=([1], [1]))


@pytest.mark.parametrize('counted', [{}, dict(epoch=1)])
def test_validations_of_an_iteration_based_training_are_at_its_iterations(tmp_path, counted):
    """LoggerHook gives them the step 0; a LogProcessor by epochs has the training log epoch 1."""
    def records(steps, value):
        for step in steps:
            yield dict(counted, loss=value, iter=step, step=step)
            if step % 5 == 0:
                yield {'coco/bbox_mAP': value, 'step': 0}

    start(tmp_path, '20260101_000000', list(records(range(1, 16), 1.0)))
    assert read_scalars(tmp_path)['coco/bbox_mAP'] == ([5, 10, 15], [1.0] * 3)
    start(tmp_path, '20260102_000000', list(records(range(9, 11), 2.0)))
    assert read_scalars(tmp_path)['coco/bbox_mAP'] == ([5, 10], [1.0, 2.0])


def test_a_shorter_training_before_is_replaced_though_its_iterations_are_lower(tmp_path):
    def records(number, length, value):
        for epoch in range(1, number + 1):
            yield dict(loss=value, epoch=epoch, iter=epoch * length, step=epoch * length)
            yield {'coco/bbox_mAP': value, 'step': epoch}

    start(tmp_path, '20260101_000000', list(records(3, 10, 9.0)))
    start(tmp_path, '20260102_000000', list(records(2, 50, 1.0)))
    curves = read_scalars(tmp_path)
    assert curves['loss'] == ([50, 100], [1.0, 1.0])
    assert curves['coco/bbox_mAP'] == ([1, 2], [1.0, 1.0])


def test_the_last_checkpoint_may_lie_elsewhere(tmp_path):
    """With an ``out_dir`` of the checkpoint hook."""
    (tmp_path / 'store').mkdir()
    (tmp_path / 'work').mkdir()
    file = tmp_path / 'store' / 'epoch_2.pth'
    file.touch()
    (tmp_path / 'work' / 'last_checkpoint').write_text(str(file))
    assert WorkDir(tmp_path / 'work').last_checkpoint == file
    file.unlink()
    assert WorkDir(tmp_path / 'work').last_checkpoint is None


def test_the_time_of_a_validation_is_not_that_of_an_iteration(tmp_path):
    start(tmp_path, '20260101_000000', [
        dict(lr=.1, time=0.5, iter=1, step=1), dict(lr=.1, time=0.5, iter=2, step=2),
        {'coco/bbox_mAP': .1, 'time': 9.0, 'data_time': 8.0, 'step': 1}])
    curves = read_scalars(tmp_path)
    assert curves['time'] == ([1, 2], [0.5, 0.5]) and 'data_time' not in curves
    assert curves['coco/bbox_mAP'] == ([1], [.1])


def test_config_and_log_are_those_of_the_latest_training(tmp_path):
    record = [dict(loss=1.0, step=1)]
    start(tmp_path, '20260101_000000', record, work_dir='first')
    start(tmp_path, '20260102_000000', record, work_dir='second')
    start(tmp_path, '20260103_000000', work_dir='a test')
    run = WorkDir(tmp_path)
    assert run.config().work_dir == 'second' and run.config_name == 'mine'
    assert run.log_file.name == '20260102_000000.log'


@pytest.mark.parametrize('tested', [False, True])
def test_a_refused_start_does_not_rename_the_run(tmp_path, tested):
    """It has left its config, the newest; a test has written the trained one anew."""
    names = ['alone', 'ctkd'] if not tested else ['alone', 'alone', 'ctkd']
    for i, name in enumerate(names):
        start(tmp_path, f'2026010{i}_000000', [dict(loss=1.0, step=1)] if i == 0 else (),
              model=dict(type=name), work_dir=f'start {i}')
        os.rename(tmp_path / 'mine.py', tmp_path / f'{name}.py')
        os.utime(tmp_path / f'{name}.py', (i, i))
    run = WorkDir(tmp_path)
    assert run.config().model.type == run.config_name == 'alone'


def test_the_newest_of_alike_configs_is_the_runs(tmp_path):
    for i, name in enumerate(('old', 'renamed')):
        start(tmp_path, f'2026010{i}_000000', [dict(loss=1.0, step=1)])
        os.rename(tmp_path / 'mine.py', tmp_path / f'{name}.py')
        os.utime(tmp_path / f'{name}.py', (i, i))
    assert WorkDir(tmp_path).config_name == 'renamed'


def test_initial_weights_are_those_of_the_last_start_that_was_no_resume(tmp_path):
    record, run = [dict(loss=1.0, step=1)], WorkDir(tmp_path)
    start(tmp_path, '20260101_000000', record, load_from='old.pth')
    start(tmp_path, '20260102_000000', record, load_from='coco.pth', resume=False)
    start(tmp_path, '20260103_000000', load_from='tested.pth')
    start(tmp_path, '20260104_000000', record, load_from='epoch_1.pth', resume=True)
    start(tmp_path, '20260105_000000', record, load_from=None, resume=True)
    assert run.initial_weights() == 'coco.pth'
    for folder in list(tmp_path.glob('2026010[12]*')):
        shutil.rmtree(folder)
    assert run.initial_weights() is None


def test_a_config_that_is_code_is_not_executed(tmp_path):
    start(tmp_path, '20260101_000000', [dict(loss=1.0, step=1)])
    (tmp_path / '20260101_000000' / 'vis_data' / 'config.py').write_text(
        f'open({str(tmp_path / "executed")!r}, "w")')
    with pytest.raises(WorkDirError, match='cannot be read.*was not executed'):
        WorkDir(tmp_path).config()
    assert not (tmp_path / 'executed').exists()


def test_checkpoints(tmp_path):
    run = WorkDir(tmp_path)
    assert run.last_checkpoint is None and run.best_checkpoint is None and run.last_saved is None
    for age, name in enumerate(('epoch_2.pth', 'epoch_10.pth', 'best_coco_bbox_mAP_epoch_2.pth')):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, ns=(age, age))
    assert run.last_checkpoint.name == 'epoch_10.pth'
    assert run.best_checkpoint.name == 'best_coco_bbox_mAP_epoch_2.pth'
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_2.pth\n')
    assert run.last_saved == 'epoch_2.pth' and run.last_checkpoint == tmp_path / 'epoch_2.pth'
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_11.pth')  # deleted since
    assert run.last_saved == 'epoch_11.pth' and run.last_checkpoint.name == 'epoch_10.pth'


def test_a_copy_has_the_times_of_the_copy(tmp_path):
    """The numbers in the names say how far the training was."""
    for age, number in enumerate((10, 11, 12, 8, 9)):
        (tmp_path / f'epoch_{number}.pth').touch()
        os.utime(tmp_path / f'epoch_{number}.pth', ns=(age, age))
    (tmp_path / 'epoch_13.pth').symlink_to('gone.pth')
    run = WorkDir(tmp_path)
    assert run.last_checkpoint.name == 'epoch_12.pth'


def test_an_editors_lock_is_no_config(tmp_path):
    (tmp_path / 'mine.py').touch()
    (tmp_path / '.#mine.py').symlink_to('somebody@here.1234')  # as Emacs makes it
    assert WorkDir(tmp_path).config_name == 'mine'


@pytest.mark.parametrize('visualizer, said', [
    (dict(vis_backends=[dict(type='TensorboardVisBackend')]), 'TensorboardVisBackend alone.*'
     "Add dict.type='LocalVisBackend'. to the config's visualizer.vis_backends"),
    (dict(vis_backends=[dict(type='WandbVisBackend'), dict(type='MLflowVisBackend')]),
     'WandbVisBackend, MLflowVisBackend alone'),
    (dict(vis_backends=[dict(type='LocalVisBackend')]), 'has not logged anything yet'),
    (None, 'no work directory of mmengine')])
def test_why_there_are_no_curves(tmp_path, visualizer, said):
    start(tmp_path, '20260101_000000', visualizer=visualizer)
    with pytest.raises(WorkDirError, match=said):
        WorkDir(tmp_path).scalars()


def test_tensorboard_is_seen_without_a_config(tmp_path):
    folder = tmp_path / '20260101_000000' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'events.out.tfevents.1.host').touch()
    with pytest.raises(WorkDirError, match='LocalVisBackend'):
        WorkDir(tmp_path).scalars()


def test_runs_are_found_two_levels_down(tmp_path):
    (tmp_path / 'empty').mkdir()
    for name in ('a', 'b', 'kd/seed_0', 'seed_1/a', 'too/deep/c'):
        start(tmp_path / name, '20260101_000000', [dict(loss=1.0, step=1)])
    assert [run.path.relative_to(tmp_path).as_posix() for run in find_runs(tmp_path)] == [
        'a', 'b', 'kd/seed_0', 'seed_1/a']
    assert [run.path.name for run in find_runs(tmp_path / 'a')] == ['a']
    assert [run.path.name for run in find_runs(tmp_path / 'empty')] == ['empty']
    with pytest.raises(FileNotFoundError, match='nowhere is no directory'):
        find_runs(tmp_path / 'nowhere')


def test_the_order_of_the_starts_is_not_that_of_their_local_times(tmp_path):
    """Trained in Shanghai, resumed by the clock of UTC, eight hours earlier by name."""
    def records(steps, value):
        for step in steps:
            yield dict(loss=value, epoch=(step - 1) // 2 + 1, iter=step, step=step)
            if step % 2 == 0:
                yield {'coco/bbox_mAP': value, 'step': step // 2}

    for name, steps, value in (('20260101_090000', range(1, 4), 1.0),
                               ('20260101_010000', range(3, 7), 2.0)):
        start(tmp_path, name, list(records(steps, value)), work_dir=name)
        number_start(tmp_path, tmp_path / name)
        number_start(tmp_path, tmp_path / name)  # a second training of the same process
    # a copy has the times of the copying, and none of an earlier start
    copy = tmp_path.with_name(tmp_path.name + '_copy')
    shutil.copytree(tmp_path, copy, copy_function=shutil.copyfile)
    for folder in (tmp_path, copy):
        curves = read_scalars(folder)
        assert curves['loss'] == ([1, 2, 3, 4, 5, 6], [1.0] * 2 + [2.0] * 4)
        assert curves['coco/bbox_mAP'] == ([1, 2, 3], [1.0, 2.0, 2.0])
        assert WorkDir(folder).log_file.name == '20260101_010000.log'
        assert WorkDir(folder).config().work_dir == '20260101_010000'


def test_a_folder_that_cannot_be_read_is_no_start(tmp_path, monkeypatch):
    """lost+found at the root of a disk; as root, who runs some tests, may read it all the same."""
    number_start(tmp_path, tmp_path / 'first')

    def read_text(self, *args, original=Path.read_text, **kwargs):
        if 'lost+found' in self.parts:
            raise PermissionError(self)
        return original(self, *args, **kwargs)

    (tmp_path / 'lost+found').mkdir()
    monkeypatch.setattr(Path, 'read_text', read_text)
    number_start(tmp_path, tmp_path / 'second')
    assert [path.name for path in starts(tmp_path)] == ['lost+found', 'first', 'second']
