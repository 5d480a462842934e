"""Modes of training that mmengine offers: what they do to student, temperature and teacher."""
import copy
import math

import pytest
import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.model import convert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing
from torch import nn

from helpers import (
    GLOBAL,
    TORCH_BEFORE_2_6,
    batch,
    build,
    distill,
    make_shapes,
    run,
    student_config,
)

THETA = 'distill_losses.loss_ctkd.temperature.theta'
WEIGHT = 'roi_head.bbox_head.fc_cls.weight'
BALANCED = dict(loss_ctkd=dict(GLOBAL, foreground_weight=0.5, loss_weight=0.1))


def distilled(teacher, **model_options):
    """A distilled student with its adversary at full strength, in float64."""
    cfg = distill(student_config(), teacher, BALANCED)
    cfg.model.merge(model_options)
    model = build(cfg).double().train()
    model.distill_losses['loss_ctkd'].temperature.grl.lambda_ = 1.0
    return model


def gradients(model, seed=0, scale=1.0, num_objects=3) -> dict:
    """Of the total loss; RoIs are sampled with a seeded generator."""
    model.zero_grad()
    (scale * total_loss(model, seed, num_objects)).backward()
    return {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}


def total_loss(model, seed=0, num_objects=3):
    data = batch(model, seed=seed, num_objects=num_objects)
    torch.manual_seed(seed)
    dtype = next(model.parameters()).dtype
    return model.parse_losses(model(data['inputs'].to(dtype), data['data_samples'], 'loss'))[0]


def assert_equal(found: dict, expected: dict, **tolerance) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=lambda m, n=name: f'{n}: {m}',
                                   **tolerance)


class Snapshots(Hook):
    """The student's weights after each iteration, and those that are evaluated."""
    priority = 'VERY_LOW'

    def __init__(self):
        self.trained, self.evaluated = [], None

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        weights = runner.model.state_dict()
        self.trained.append({k: weights[k].double().clone() for k in (THETA, WEIGHT)})

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        weights = runner.model.state_dict()
        self.evaluated = {k: weights[k].clone() for k in (THETA, WEIGHT)}


def test_ema_averages_the_student_and_shares_the_teacher(teacher, tmp_path):
    momentum, gamma = 0.1, 3
    cfg = distill(student_config(make_shapes(tmp_path / 'data'), max_epochs=1), teacher, BALANCED)
    snapshots = Snapshots()
    cfg.custom_hooks = [
        dict(type='CurriculumHook', schedule='constant'),
        dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=momentum, gamma=gamma,
             update_buffers=True)]
    runner = run(cfg, tmp_path / 'work', hooks=[snapshots])
    ema = next(h for h in runner.hooks if isinstance(h, EMAHook)).ema_model
    # one teacher, in one place
    copied, own = ema.module.teacher_model, runner.model.teacher_model
    assert copied is own
    assert [p.data_ptr() for p in copied.parameters()] == [p.data_ptr() for p in own.parameters()]
    # ExpMomentumEMA by its definition
    expected = snapshots.trained[0]
    for step, weights in enumerate(snapshots.trained[1:], 1):
        m = (1 - momentum) * math.exp(-(1 + step) / gamma) + momentum
        expected = {k: (1 - m) * v + m * weights[k] for k, v in expected.items()}
    saved = torch.load(tmp_path / 'work' / 'epoch_1.pth')
    for key, value in expected.items():
        assert not torch.allclose(value.float(), snapshots.trained[-1][key].float(), rtol=1e-5)
        # float32, four steps
        for found in (saved['state_dict'][key], snapshots.evaluated[key]):
            torch.testing.assert_close(found.double(), value, rtol=1e-5, atol=1e-7)
        raw = saved['ema_state_dict'][f'module.{key}']  # mmengine swaps the two
        assert torch.equal(raw.double(), snapshots.trained[-1][key])
    assert not [k for k in saved['ema_state_dict'] if 'teacher' in k]


def test_accumulated_gradients_are_the_mean_of_the_parts(teacher):
    """Not those of one large batch: each part has its own BN statistics and normalisers."""
    model = distilled(teacher)
    start = {k: p.detach().clone() for k, p in model.named_parameters()}
    buffers = copy.deepcopy(dict(model.named_buffers()))
    first, second = gradients(model, seed=0), gradients(model, seed=1, num_objects=1)
    for name, value in model.named_buffers():
        value.copy_(buffers[name])
    model.zero_grad()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 4)
    wrapper.update_params(total_loss(model, seed=0))
    assert all(torch.equal(p, start[k]) for k, p in model.named_parameters())
    wrapper.update_params(total_loss(model, seed=1, num_objects=1))
    # float64
    assert_equal({k: (start[k] - p.detach()) / 0.1 for k, p in model.named_parameters()
                  if k in first},
                 {k: (first[k] + second[k]) / 2 for k in first}, rtol=1e-6, atol=1e-12)
    assert first[THETA] * second[THETA] != 0


def test_clipping_scales_theta_with_all_the_rest(teacher):
    """The norm is that of all gradients, theta's among them."""
    model = distilled(teacher)
    # large enough to matter in the norm
    model.distill_losses['loss_ctkd'].loss_weight = 100.0
    free = gradients(model)
    norm = math.sqrt(sum(g.square().sum().item() for g in free.values()))
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.0),
                           clip_grad=dict(max_norm=norm / 4))
    model.zero_grad()
    wrapper.zero_grad = lambda: None  # which it calls after the step
    wrapper.update_params(total_loss(model))
    seen = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    # torch divides by the norm plus 1e-6
    assert_equal(seen, {k: g / 4 for k, g in free.items()}, rtol=1e-6, atol=1e-12)
    without = math.sqrt(norm**2 - free[THETA].item()**2)
    assert norm - without > 1e-6 * norm  # so the test tells whether theta counts


@pytest.mark.skipif(TORCH_BEFORE_2_6, reason='older torch scales losses on GPUs only')
def test_the_loss_scale_reaches_theta_and_is_taken_out_again(teacher):
    """mmengine's AmpOptimWrapper does just this, on GPUs."""
    model = distilled(teacher).float()
    expected = gradients(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    scaler = torch.amp.GradScaler('cpu', init_scale=2.0**12)
    model.zero_grad()
    scaler.scale(total_loss(model)).backward()
    # a power of two: exact
    theta = model.get_parameter(THETA)
    assert theta.grad == expected[THETA] * 2**12 != 0
    scaler.unscale_(optimizer)
    assert theta.grad == expected[THETA]


@pytest.mark.skipif(not torch.cuda.is_available(), reason='fp16 with a loss scale needs a GPU')
def test_fp16_on_a_gpu(teacher):
    from mmengine.optim import AmpOptimWrapper
    model = distilled(teacher).float().cuda()
    expected, seen = gradients(model)[THETA], []
    wrapper = AmpOptimWrapper(dtype='float16', loss_scale=2.0**10,
                              optimizer=torch.optim.SGD(model.parameters(), lr=0.0))
    wrapper.optimizer.register_step_pre_hook(
        lambda *_: seen.append(model.get_parameter(THETA).grad.clone()))
    model.zero_grad()
    with wrapper.optim_context(model):
        loss = total_loss(model)
    wrapper.update_params(loss)
    # half precision has 3 digits, and some RoIs may differ
    torch.testing.assert_close(seen[0], expected, rtol=0.1, atol=0)


def test_sync_bn_is_for_the_student_only(teacher):
    model = convert_sync_batchnorm(distilled(teacher), 'torch')

    def kinds(module):
        return {type(m) for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
    assert kinds(model) == {nn.SyncBatchNorm}
    assert kinds(model.teacher_model) == {nn.BatchNorm2d}


@pytest.mark.parametrize('how', ['with_cp', 'activation_checkpointing'])
def test_activation_checkpointing_changes_no_gradient(how, teacher):
    expected = gradients(distilled(teacher))
    if how == 'with_cp':
        model = distilled(teacher, backbone=dict(with_cp=True))
    else:
        model = distilled(teacher)
        # what the key of that name in a Runner's config does
        turn_on_activation_checkpointing(model, ['backbone.layer2', 'roi_head.bbox_head'])
    runs = []
    for name, module in (('backbone', model.backbone.layer2[0].conv1),
                         ('head', model.roi_head.bbox_head.fc_cls),
                         ('loss', model.roi_head.bbox_head.loss_cls)):
        module.register_forward_hook(lambda *_, name=name: runs.append(name))
    # float64; the same operations once more
    assert_equal(gradients(model), expected, rtol=1e-9, atol=1e-14)
    # what is checkpointed ran again in the backward pass, what is tapped did not
    assert runs.count('backbone') == 2 and runs.count('loss') == 1
    assert runs.count('head') == (1 if how == 'with_cp' else 2)
