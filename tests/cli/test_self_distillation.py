"""Students that teach themselves, from the command line."""
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from cli.conftest import invoke
from ctkd_det.models.distilled_config import REFINED, SNAPSHOT, is_beside_student
from ctkd_det_cli.distill.methods import SELF_TAUGHT, fragments


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
    rate = cfg.param_scheduler[-1]
    assert (rate.type, rate.periods, rate.end) == ('CosineRestartLR', [2, 3], 5)
    assert not [s for s in cfg.param_scheduler[:-1] if s.type not in ('LinearLR', 'ConstantLR')]
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    assert list(model.distill_losses) == ['loss_ctkd', 'loss_snapshot', 'loss_pkd']

    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'epoch_1.pth')
    exported = invoke('export', tmp_path / 'x.py', tmp_path / 'epoch_1.pth', '--out',
                      tmp_path / 'student', '--shape', 64, 64)
    assert exported.exit_code == 0, exported.output
    text = (tmp_path / 'student' / 'x.py').read_text().replace(str(tmp_path), '')
    assert 'napshot' not in text and 'distill' not in text


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
