"""mmengine's FlexibleRunner: one device, and FSDP in two processes with gloo."""
import numpy as np
import pytest
import strategy_worker
import torch
from mmengine.runner import FlexibleRunner

import forked
from helpers import GLOBAL, TORCH_BEFORE_2_6, distill, log_of, make_shapes, student_config

fsdp = pytest.mark.skipif(TORCH_BEFORE_2_6, reason="torch 2.1's FSDP needs a GPU")

THETA = 'distill_losses.loss_ctkd.temperature.theta'


@pytest.fixture(scope='module')
def config(teacher, tmp_path_factory):
    """Two epochs of two iterations on each of two ranks."""
    folder = tmp_path_factory.mktemp('strategies')
    cfg = distill(student_config(make_shapes(folder / 'data', 8)), teacher,
                  dict(loss_ctkd=dict(GLOBAL, foreground_weight=0.5, loss_weight=0.1),
                       loss_mgd=dict(type='MGDLoss', loss_weight=1e-6),
                       loss_srrl=dict(type='SRRLLoss', loss_weight=0.01)))
    cfg.custom_hooks = [dict(type='CurriculumHook', end=2, patience=2)]
    cfg.optim_wrapper.clip_grad = None  # mmengine clips each rank's shard by its own norm
    cfg.default_hooks.checkpoint.max_keep_ckpts = 5
    cfg.launcher = 'pytorch'
    cfg.env_cfg.dist_cfg = dict(backend='gloo')
    cfg.dump(folder / 'config.py')
    return cfg, folder


@pytest.fixture(scope='module')
def ranks(config):
    _, folder = config
    for result in forked.ranks(strategy_worker.main, folder / 'config.py', folder):
        assert result.returncode == 0, result.stderr[-3000:]
    return [torch.load(folder / f'rank{i}.pt') for i in range(2)]


@fsdp
def test_fsdp_trains_the_student_that_ddp_trains(config, ranks):
    _, folder = config
    assert [ranks[0][name]['sharded'] for name in ('ddp', 'fsdp')] == [False, True]
    weights = {}
    for name in ('ddp', 'fsdp'):
        saved = torch.load(folder / name / 'epoch_2.pth')['state_dict']
        weights[name] = {key.removeprefix('module.'): value for key, value in saved.items()}
    assert weights['ddp'].keys() == weights['fsdp'].keys() and THETA in weights['fsdp']
    assert not [key for key in weights['fsdp'] if 'teacher' in key]
    for key, value in weights['ddp'].items():
        if 'running' not in key:  # each rank has its own batch statistics
            # float32, reduced in another order, four steps
            torch.testing.assert_close(weights['fsdp'][key], value, rtol=1e-4, atol=1e-5, msg=key)


@fsdp
def test_hooks_see_through_fsdp(ranks):
    """lambda is set, and every rank logs theta's gradient though but one has theta."""
    for rank in ranks:
        expected, found = rank['ddp']['log'], rank['fsdp']['log']
        for key, tolerance in (('ctkd.lambda', 0), ('ctkd.tau_mean', 1e-6),
                               ('ctkd.theta_grad', 1e-4)):
            np.testing.assert_allclose(found[key], expected[key], rtol=tolerance)
        assert min(np.abs(found['ctkd.theta_grad'])) > 0
        assert len(set(found['ctkd.lambda'])) == 4


def test_flexible_runner_on_one_device(config, tmp_path):
    cfg, _ = config
    cfg = cfg.copy()
    cfg.merge_from_dict(dict(strategy=dict(type='SingleDeviceStrategy'), launcher='none',
                             work_dir=str(tmp_path), experiment_name=tmp_path.name))
    cfg.custom_hooks[0].patience = 3
    cfg.optim_wrapper.paramwise_cfg = dict(custom_keys=dict(distill_losses=dict(lr_mult=1e-9)))
    runner = FlexibleRunner.from_cfg(cfg)
    runner.train()
    lambdas = runner.message_hub.get_scalar('train/ctkd.lambda').data[0]
    np.testing.assert_allclose(lambdas, [(1 - np.cos(np.pi * (i + 1) / 8)) / 2 for i in range(8)],
                               rtol=1e-6)
    log = log_of(tmp_path)
    assert log.count('has not moved by 1 %') == 1
    saved = torch.load(tmp_path / 'epoch_2.pth')
    assert saved['curriculum']['end'] == 2 and THETA in saved['state_dict']
    assert not [key for key in saved['state_dict'] if 'teacher' in key]


def test_a_teacher_without_memory_for_its_weights_is_refused(config, tmp_path):
    """FSDPStrategy(skip_init_weights=True) builds on the meta device and fills with rubbish."""
    from mmengine._strategy.utils import MetaTensorContext

    from ctkd_det.models.teachers import TeacherError
    from helpers import build
    with pytest.raises(TeacherError, match='skip_init_weights'), MetaTensorContext():
        build(config[0])
