"""Snapshot distillation in whole trainings: who teaches when, and after a resume."""
import shutil

import pytest
import torch
from mmengine.hooks import Hook

from ctkd_det.hooks.checkpoint_files import SavingError
from helpers import GLOBAL, distill, make_shapes, run, student_config

EPOCHS, CYCLE, LENGTH = 4, 2, 4  # of an epoch: 8 images, 2 in a step
SNAPSHOT = dict(teacher_config='snapshot')
LOSS = dict(GLOBAL, foreground_weight=0.5)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp('data'))


def config(data, loss=LOSS, epochs=EPOCHS, **hook):
    cfg = distill(student_config(data, max_epochs=epochs), SNAPSHOT, dict(loss_ctkd=loss))
    cfg.custom_hooks = [dict(type='CurriculumHook'),
                        dict(type='SnapshotHook', **{**dict(cycle=CYCLE), **hook})]
    cfg.param_scheduler = [dict(
        type='CosineRestartLR', periods=[CYCLE, CYCLE], restart_weights=[1, 1], eta_min_ratio=0,
        end=2 * CYCLE, by_epoch=True, convert_to_iter_based=True)]
    cfg.default_hooks.checkpoint.max_keep_ckpts = 5
    return cfg


class Watch(Hook):
    """Notes the student's weights, and the teacher's, after each iteration."""
    priority = 'VERY_HIGH'  # before the snapshot is taken

    def __init__(self):
        self.students, self.teachers = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.teachers.append(copies(runner.model.teacher_model))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.students.append(copies(runner.model))


def copies(model):
    return {key: value.clone() for key, value in model.state_dict().items()
            if not key.startswith('distill_losses.')}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def logged(runner, name):
    return runner.message_hub.get_scalar(f'train/{name}').data[0].tolist()


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory):
    from mmengine.logging import MessageHub
    MessageHub._instance_dict.clear()
    folder, watch = tmp_path_factory.mktemp('snapshot') / 'work', Watch()
    return run(config(data), folder, [watch]), watch, folder


def test_the_student_teaches_itself_from_the_second_cycle_on(trained):
    runner, watch, folder = trained
    first = CYCLE * LENGTH
    assert all(equal(weights, watch.students[first - 1]) for weights in watch.teachers[first:])
    assert not equal(watch.students[-1], watch.students[first - 1])
    losses = logged(runner, 'loss_ctkd')
    assert losses[:first] == [0] * first and min(losses[first:]) > 0
    rates = logged(runner, 'lr')
    assert rates[first - 1] < 0.1 * rates[0] and rates[first] == pytest.approx(rates[0])


def test_what_a_checkpoint_holds(trained):
    _, watch, folder = trained
    assert 'snapshot' not in torch.load(folder / 'epoch_1.pth')
    saved = torch.load(folder / 'epoch_3.pth')
    assert saved['snapshot']['file'] == 'snapshot_cycle_1.pth' and saved['snapshot']['cycle'] == 1
    assert not [key for key in saved['state_dict'] if 'teacher' in key]
    weights = torch.load(folder / 'snapshot_cycle_1.pth', weights_only=True)
    assert equal(weights, watch.students[CYCLE * LENGTH - 1])


def test_killed_in_the_second_cycle(trained, data, tmp_path):
    """Weights, lambda, tau and losses are those of the training that was not."""
    runner, watch, folder = trained
    _copy(folder, tmp_path / 'work', 'epoch_3.pth', 'snapshot_cycle_1.pth')
    cfg, again = config(data), Watch()
    cfg.resume = True
    resumed = run(cfg, tmp_path / 'work', [again])
    assert len(again.students) == LENGTH
    assert equal(again.teachers[0], watch.teachers[-1])
    assert equal(again.students[-1], watch.students[-1])
    assert torch.equal(*(r.model.distill_losses.loss_ctkd.temperature.theta
                         for r in (runner, resumed)))
    for name in ('loss_ctkd', 'ctkd.lambda', 'ctkd.tau_mean', 'loss'):
        assert logged(resumed, name)[-LENGTH:] == logged(runner, name)[-LENGTH:], name


@pytest.mark.parametrize('damage, message', [
    (lambda path: path.unlink(), r'snapshot_cycle_1\.pth, which is not in .*work: put it there'),
    (lambda path: path.write_bytes(path.read_bytes() + b'.'),
     r'snapshot_cycle_1\.pth is not the snapshot that the checkpoint learns from')])
def test_a_snapshot_that_is_not_the_checkpoints(trained, data, tmp_path, damage, message):
    _copy(trained[2], tmp_path / 'work', 'epoch_3.pth', 'snapshot_cycle_1.pth')
    damage(tmp_path / 'work' / 'snapshot_cycle_1.pth')
    cfg = config(data)
    cfg.resume = True
    with pytest.raises(SavingError, match=message):
        run(cfg, tmp_path / 'work')


def test_weight_0_is_plain_mmdet(data, tmp_path):
    plain, watch = student_config(data, max_epochs=2), Watch()
    distilled = config(data, dict(LOSS, loss_weight=0.0), epochs=2, cycle=1)
    plain.param_scheduler = distilled.param_scheduler
    plain = run(plain, tmp_path / 'plain')
    distilled = run(distilled, tmp_path / 'snapshot', [watch])
    assert equal(copies(distilled.model), copies(plain.model))
    assert logged(distilled, 'loss') == logged(plain, 'loss')


def test_with_ema_the_snapshot_is_what_the_optimizer_works_on(data, tmp_path):
    """In cycles of iterations, the end of one within an epoch."""
    cfg, watch = config(data, epochs=2, cycle=3, by_epoch=False), Watch()
    cfg.custom_hooks.append(dict(type='EMAHook', momentum=0.5))
    cfg.train_cfg.val_interval = 1  # EMAHook swaps the weights for it
    run(cfg, tmp_path / 'work', [watch])
    for i, weights in enumerate(watch.teachers[3:], 3):
        assert equal(weights, watch.students[i // 3 * 3 - 1]), i
    assert sorted(p.name for p in (tmp_path / 'work').glob('snapshot_*.pth')) == [
        'snapshot_cycle_1.pth', 'snapshot_cycle_2.pth']


def test_what_could_not_teach_is_refused(data, teacher, tmp_path):
    def fails(cfg, message):
        with pytest.raises(ValueError, match=message):
            run(cfg, tmp_path / 'work')

    fails(config(data, cycle=4), r'cycle=4 epochs, but the training has 4')
    fails(config(data, dict(LOSS, window=dict(end=8))),
          r'loss_ctkd: its window ends at 8, before the first cycle .*\(2 epochs\)')
    fails(config(data, dict(LOSS, window=dict(warmup=9))), 'set begin to that step')
    cfg = config(data)
    cfg.custom_hooks = cfg.custom_hooks[:1]
    fails(cfg, "nothing takes the snapshots; add dict.type='SnapshotHook'")
    cfg = config(data)
    cfg.model.teacher_ckpt = teacher['teacher_ckpt']
    fails(cfg, 'is the student itself, so teacher_ckpt=')
    cfg = config(data)
    cfg.model.update(teacher)
    fails(cfg, "it needs model.teacher_config='snapshot'")


def _copy(source, target, *names):
    target.mkdir()
    for name in names:
        for file in source.glob(f'{name}*'):
            shutil.copy(file, target)
