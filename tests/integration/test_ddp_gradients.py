"""Two real processes with gloo: gradients are those of one process with the double batch."""
import pytest
import torch
from ddp_worker import distillation_gradients, image, main, make_model

import forked
from helpers import GLOBAL, distill, student_config

INSTANCE = dict(type='InstanceTemperature', num_classes=8)
LOSSES = dict(
    loss_kd=GLOBAL,
    loss_kd_relative=dict(GLOBAL, relative_adversary=True),
    loss_kd_balanced=dict(GLOBAL, foreground_weight=0.5),
    loss_kd_instance=dict(type='KDLoss', temperature=INSTANCE, foreground_weight=0.7),
    loss_kd_dkd=dict(type='DKDLoss', temperature=dict(type='GlobalTemperature'), beta=1.0),
    loss_kd_rotated=dict(GLOBAL, rotated=True),
    loss_kd_rois=dict(type='FitNetLoss', source='roi'),
    loss_kd_vid=dict(type='VIDLoss', source='roi'),
    loss_kd_neck=dict(type='FitNetLoss'), loss_kd_at=dict(type='ATLoss'),
    loss_kd_cwd=dict(type='CWDLoss'), loss_kd_fgd=dict(type='FGDLoss'))
# what these compare is each rank's own batch, so their gradients are not the double batch's
OF_A_BATCH = {f'loss_{name[:-4].lower()}': dict(type=name, loss_weight=0.01) for name in (
    'PKDLoss', 'MGDLoss', 'ReviewKDLoss', 'SPLoss', 'PKTLoss', 'SRRLLoss', 'CRDLoss',
    'SSKDLoss')}
OF_A_BATCH['loss_mgd']['reduction'] = 'mean'


@pytest.fixture(scope='module')
def config(teacher, tmp_path_factory):
    cfg = distill(student_config(), teacher, {**LOSSES, **OF_A_BATCH})
    for part in ('rpn', 'rcnn'):  # take every sample there is: nothing is left to chance
        cfg.model.train_cfg[part].sampler.num = 10**6
    path = tmp_path_factory.mktemp('ddp') / 'config.py'
    cfg.dump(path)
    return path


@pytest.fixture(scope='module')
def ranks(config):
    """What both ranks computed."""
    for result in forked.ranks(main, config, config.parent):
        assert result.returncode == 0, result.stderr[-3000:]
    return [torch.load(config.parent / f'rank{i}.pt') for i in range(2)]


def test_gradients_are_those_of_one_process_with_both_images(config, ranks):
    """RoIs and foreground RoIs are unequal in number, so the ranks' own means are not it."""
    model = make_model(config)
    a, b = image(model, 0), image(model, 1)
    expected = distillation_gradients(model, dict(
        inputs=torch.cat([a['inputs'], b['inputs']]),
        data_samples=a['data_samples'] + b['data_samples']))
    for found in (rank['gradients'] for rank in ranks):
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            # float64, sums in another order
            torch.testing.assert_close(found[name], gradient, rtol=1e-8, atol=1e-12, msg=name)
    for loss in (name for name, config in LOSSES.items() if 'temperature' in config):
        temperature = {k: v for k, v in expected.items() if f'.{loss}.temperature' in k}
        assert temperature and all(v.abs().sum() > 0 for k, v in temperature.items()
                                   if 'hidden' not in k)


@pytest.mark.parametrize('case', ['no_objects', 'no_rois'])
def test_a_rank_without_objects_or_rois_stays_in_step(case, config, ranks):
    """Without find_unused_parameters; DDP would stop if a parameter were in no graph."""
    start = dict(make_model(config).named_parameters())
    first, second = (rank[case] for rank in ranks)
    for name, weight in first.items():
        assert torch.equal(weight, second[name]), name
    theta = 'distill_losses.loss_kd.temperature.theta'
    assert first[theta] != start[theta] and first[theta].isfinite()
