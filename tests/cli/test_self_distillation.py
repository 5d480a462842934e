"""Students that teach themselves, from the command line."""
import copy
from functools import partial

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope

from cli.conftest import invoke
from ctkd_det.models.distilled_config import REFINED, SNAPSHOT, is_beside_student
from ctkd_det_cli.distill.cycles import with_cycles
from ctkd_det_cli.distill.methods import SELF_TAUGHT, fragments
from helpers import CONFIGS


def line(folder, tmp_path, method, *options):
    return ['distill', '--dry-run', folder / 'student.py', '--method', method, '--out',
            tmp_path / 'x.py', *options]


def test_the_methods_that_need_no_teacher():
    assert {name for name, file in fragments().items()
            if 'teacher_config' in Config.fromfile(file)} == set(SELF_TAUGHT)


def test_snapshot(folder, tmp_path):
    """Two cycles of the training's length, of hook and learning rate."""
    result = invoke(*line(folder, tmp_path, 'ctkd+snapshot+pkd', '--epochs', 5))
    assert result.exit_code == 0, result.output
    cfg = Config.fromfile(tmp_path / 'x.py')
    assert cfg.model.teacher_config == SNAPSHOT and 'teacher_ckpt' not in cfg.model
    assert [hook.cycle for hook in cfg.custom_hooks if hook.type == 'SnapshotHook'] == [2]
    rate = cfg.param_scheduler[0]
    assert (rate.type, rate.periods, rate.end) == ('CosineRestartLR', [2, 3], 5)
    assert not [s for s in cfg.param_scheduler[1:] if s.type not in ('LinearLR', 'ConstantLR')]
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    assert list(model.distill_losses) == ['loss_ctkd', 'loss_snapshot', 'loss_pkd']

    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'epoch_1.pth')
    exported = invoke('export', tmp_path / 'x.py', tmp_path / 'epoch_1.pth', '--out',
                      tmp_path / 'student', '--shape', 64, 64)
    assert exported.exit_code == 0, exported.output
    text = (tmp_path / 'student' / 'x.py').read_text().replace(str(tmp_path), '')
    assert 'napshot' not in text and 'distill' not in text


def rates(schedulers, length, lr=0.02):
    """The learning rate of each iteration, with ``length`` of them in an epoch."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    built = []
    for one in copy.deepcopy(schedulers):
        cls = PARAM_SCHEDULERS.get(one.pop('type'))
        build = cls
        if one.pop('convert_to_iter_based', False):
            build = partial(cls.build_iter_from_epoch, epoch_length=length)
        built.append(build(OptimWrapper(optimizer), **one))
    found = []
    for _ in range(12 * length):
        found.append(optimizer.param_groups[0]['lr'])
        for one in built:
            one.step()
    return found


@pytest.mark.parametrize('warm_up', [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=50),
    dict(type='mmdet.QuadraticWarmupLR', by_epoch=True, begin=0, end=1,
         convert_to_iter_based=True)])
def test_a_warm_up_before_a_cycle_does_not_multiply_its_rate(warm_up):
    """CosineRestartLR sets its first rate; what multiplied it before would do so for ever."""
    base = Config(dict(train_cfg=dict(max_epochs=12), param_scheduler=[warm_up]))
    written = with_cycles(dict(custom_hooks=[dict(type='SnapshotHook')]), base)
    shipped = Config.fromfile(CONFIGS / 'snapshot/faster-rcnn_r18_fpn_snapshot_1x_coco.py')
    for schedulers in (written['param_scheduler'], shipped.to_dict()['param_scheduler']):
        found = rates(schedulers, 100)
        assert found[0] <= 1e-3 * 0.02 and max(found) <= 0.02 * (1 + 1e-9)
        # both cycles begin at the full rate, but for the first one's warm-up, and end at 0
        assert found[600] == pytest.approx(0.02) and found[599] < 1e-3 * 0.02 > found[1199]
        assert found[900] == pytest.approx(0.01, rel=1e-6)


def test_frskd(folder, tmp_path):
    result = invoke(*line(folder, tmp_path, 'ctkd+frskd'))
    assert result.exit_code == 0, result.output
    cfg = Config.fromfile(tmp_path / 'x.py')
    assert cfg.model.teacher_config == REFINED and 'SnapshotHook' not in cfg.pretty_text
    assert list(cfg.model.distill_losses) == ['loss_ctkd', 'loss_frskd_kd', 'loss_frskd_at']
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'epoch_1.pth')
    exported = invoke('export', tmp_path / 'x.py', tmp_path / 'epoch_1.pth', '--out',
                      tmp_path / 'student', '--shape', 64, 64)
    assert exported.exit_code == 0, exported.output
    weights = torch.load(tmp_path / 'student' / 'x.pth')['state_dict']
    assert weights.keys() == {key for key in model.state_dict() if not is_beside_student(key)}


def test_one_teacher_at_a_time(folder, tmp_path):
    result = invoke(*line(folder, tmp_path, 'snapshot+frskd'))
    assert result.exit_code == 1 and 'these methods cannot be joined' in result.output


@pytest.mark.parametrize('options, message', [
    (['--teacher', 'x.py'], 'the student is its own teacher: leave out --teacher'),
    (['--inherit', 'neck'], 'leave out --inherit'),
    (['--epochs', 1], 'so 1 epoch is too short: --epochs 2 or more')])
def test_what_snapshots_do_not_take(folder, tmp_path, options, message):
    result = invoke(*line(folder, tmp_path, 'snapshot', *options))
    assert result.exit_code and message in ' '.join(result.output.split()), result.output
    assert not (tmp_path / 'x.py').exists()
