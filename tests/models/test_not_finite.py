"""Arguments, teachers and gradients that are not finite."""
import math

import pytest
import torch
from mmdet.registry import HOOKS, MODELS

from ctkd_det.models.losses.window import Window
from ctkd_det.models.teachers import TeacherError
from helpers import GLOBAL, batch, build, distill, make_teacher, student_config

NUMBERS = (math.nan, math.inf, -1.0)
LOSS = dict(temperature=1.0)
WIDTHS = dict(student_channels=4, teacher_channels=4)


@pytest.mark.parametrize('value', NUMBERS)
@pytest.mark.parametrize('config, name', [
    (dict(type='KDLoss', **LOSS), 'loss_weight'), (dict(type='KDLoss', **LOSS), 'tau_power'),
    (dict(type='KDLoss', **LOSS), 'foreground_weight'),
    (dict(type='DKDLoss', **LOSS), 'alpha'), (dict(type='DKDLoss', **LOSS), 'beta'),
    (dict(type='DISTLoss', **LOSS), 'beta'), (dict(type='DISTLoss', **LOSS), 'gamma'),
    (dict(type='KDLoss'), 'temperature'),
    (dict(type='GlobalTemperature'), 'tau_min'), (dict(type='GlobalTemperature'), 'tau_range'),
    (dict(type='GlobalTemperature'), 'initial_temperature'),
    (dict(type='ScheduledTemperature', end=1.0), 'start'),
    (dict(type='ScheduledTemperature', start=1.0), 'end'), (dict(type='FixedTemperature'), 'value'),
    (dict(type='GradientReversal'), 'lambda_'),
    (dict(type='CRDLoss', **WIDTHS), 'tau'), (dict(type='SSKDLoss', **WIDTHS), 'tau'),
    (dict(type='CWDLoss', **WIDTHS), 'tau'), (dict(type='FGDLoss', **WIDTHS), 'temperature'),
    (dict(type='PKTLoss'), 'eps'), (dict(type='ATLoss'), 'p'),
    (dict(type='VIDLoss', **WIDTHS), 'init_variance'),
])
def test_arguments_are_refused_where_given(config, name, value):
    with pytest.raises(ValueError, match=str(value)):
        MODELS.build({**config, name: value})


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_a_margin_that_would_switch_the_loss_off_is_refused(value):
    with pytest.raises(ValueError, match='margin must be a finite number'):
        MODELS.build(dict(type='BoxKDLoss', mode='bounded', margin=value))


@pytest.mark.parametrize('options', [
    dict(begin=math.nan), dict(end=math.nan), dict(warmup=math.nan), dict(end=math.inf),
    dict(every=math.nan), dict(every=2.5), dict(every=0)])
def test_windows_that_say_nothing_are_refused(options):
    with pytest.raises(ValueError, match='got begin='):
        Window(**options)


@pytest.mark.parametrize('options', [
    dict(begin=0.5), dict(end=1.0), dict(end=math.inf), dict(begin=math.nan)])
def test_a_curriculum_counts_whole_steps(options):
    """In a window 0.5 is half of the training; here it would be half an epoch."""
    with pytest.raises(ValueError, match='integers, got begin='):
        HOOKS.build(dict(type='CurriculumHook', **options))


@pytest.mark.parametrize('options', [
    dict(init=20.0), dict(init=-40.0), dict(initial_temperature=2 - 1e-8)])
def test_a_temperature_that_starts_at_its_bound_is_refused(options):
    with pytest.raises(ValueError, match='would never move'):
        MODELS.build(dict(type='GlobalTemperature', **options))


def test_a_temperature_near_its_bound_moves():
    temperature = MODELS.build(dict(type='GlobalTemperature', initial_temperature=1.999))
    temperature.grl.lambda_ = 1.0
    temperature(None, None, None).backward()
    # dtau / dtheta = (tau - tau_min)(tau_max - tau) / tau_range, by hand
    assert abs(temperature.theta.grad.item()) == pytest.approx(1.499 * 0.001 / 1.5, rel=1e-3)


@pytest.mark.parametrize('kind', ['KDLoss', 'DKDLoss', 'DISTLoss'])
@pytest.mark.parametrize('sides', ['teacher', 'both'])
def test_a_masked_class_is_one_that_has_no_probability(kind, sides):
    """Logits of -inf: as a class that both are sure to be absent."""
    torch.manual_seed(0)
    s, t = torch.randn(2, 6, 5)
    labels = torch.tensor([0, 1, 3, 4, 4, 0])
    loss = MODELS.build(dict(type=kind, temperature=1.0))

    def result(student_mask, teacher_mask):
        student, teacher = s.clone(), t.clone()
        if sides == 'both':
            student[:, 2] = student_mask
        teacher[:, 2] = teacher_mask
        student.requires_grad_()
        value = loss(student, teacher, labels)
        value.backward()
        return value.detach(), student.grad

    value, gradient = result(-math.inf, -math.inf)
    expected, expected_gradient = result(-200.0, -200.0)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, expected_gradient)
    assert gradient.isfinite().all() and gradient.any()


def test_a_masked_class_has_no_deviation():
    """It would be all that is left of a standardized row; FiniteLossHook says so."""
    z = torch.tensor([[1.0, 2.0, 3.0, -math.inf]])
    loss = MODELS.build(dict(type='KDLoss', temperature=1.0, standardize=True))
    assert loss(z, z.flip(1), torch.tensor([0])).isnan()


def test_a_row_that_does_not_vary_has_no_gradient_when_standardized():
    """Its deviation, by which the gradient is divided, is 0; the other row has its own loss."""
    z = torch.tensor([[0.5, 0.5, 0.5], [1.0, 2.0, 6.0]], requires_grad=True)
    t = torch.tensor([[3.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    loss = MODELS.build(dict(type='KDLoss', temperature=1.0, standardize=True))
    loss(z, t, torch.tensor([0, 1])).backward()
    assert not z.grad[0].any() and z.grad[1].any() and z.grad.abs().max() < 1


def test_one_weight_for_each_roi():
    loss, z = MODELS.build(dict(type='KDLoss', **LOSS)), torch.rand(3, 4)
    with pytest.raises(ValueError, match=r'weights of shape \(3, 1\)'):
        loss(z, z, torch.zeros(3).long(), torch.ones(3, 1))


def test_theta_and_a_range_beyond_float32_are_refused():
    for init in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match='init must be a finite number'):
            MODELS.build(dict(type='GlobalTemperature', init=init))
    with pytest.raises(ValueError, match=r'tau_range must be .* at most 1e\+06, got 1e\+300'):
        MODELS.build(dict(type='GlobalTemperature', tau_range=1e300))


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_a_teacher_with_weights_that_are_not_finite_is_refused(tmp_path, value):
    teacher = make_teacher(tmp_path)
    checkpoint = torch.load(teacher['teacher_ckpt'])
    checkpoint['state_dict']['neck.lateral_convs.0.conv.bias'][3] = value
    torch.save(checkpoint, teacher['teacher_ckpt'])
    with pytest.raises(TeacherError, match=r'neck\.lateral_convs\.0\.conv\.bias \(1 of 16 values'):
        build(distill(student_config(), teacher))


def test_a_teacher_with_an_infinite_running_variance_is_refused(tmp_path):
    """In eval mode the layer's output would be finite, and not depend on the image."""
    teacher = make_teacher(tmp_path)
    checkpoint = torch.load(teacher['teacher_ckpt'])
    checkpoint['state_dict']['backbone.bn1.running_var'][0] = math.inf
    torch.save(checkpoint, teacher['teacher_ckpt'])
    with pytest.raises(TeacherError, match=r'backbone\.bn1\.running_var \(1 of 8 values'):
        build(distill(student_config(), teacher))


def test_a_teacher_whose_logits_overflow_is_named_on_its_first_batch(tmp_path):
    teacher = make_teacher(tmp_path)
    checkpoint = torch.load(teacher['teacher_ckpt'])
    checkpoint['state_dict']['roi_head.bbox_head.fc_cls.weight'].fill_(3e38)
    torch.save(checkpoint, teacher['teacher_ckpt'])
    model = build(distill(student_config(), teacher, dict(loss_ctkd=GLOBAL))).train()
    data = batch(model)
    with pytest.raises(TeacherError, match='teacher.pth gives logits that are NaN'):
        model(data['inputs'], data['data_samples'], 'loss')


def test_features_that_are_finite_do_not_hide_logits_that_are_not(tmp_path):
    """Each kind of answers is looked at on the first batch."""
    teacher = make_teacher(tmp_path)
    checkpoint = torch.load(teacher['teacher_ckpt'])
    checkpoint['state_dict']['roi_head.bbox_head.fc_cls.weight'].fill_(3e38)
    torch.save(checkpoint, teacher['teacher_ckpt'])
    model = build(distill(student_config(), teacher, dict(
        loss_pkd=dict(type='PKDLoss'), loss_ctkd=GLOBAL))).train()
    data = batch(model)
    with pytest.raises(TeacherError, match='teacher.pth gives logits that are NaN'):
        model(data['inputs'], data['data_samples'], 'loss')


@pytest.mark.parametrize('gap', [80, 88, 90, 95, 103, 104, 200])
def test_dist_with_a_class_of_hardly_any_probability(gap):
    """Value and gradient are those of float64 where float32 holds the class, else without it."""
    torch.manual_seed(0)
    logits = [torch.cat([torch.randn(6, 3), torch.randn(6, 1) / 10 - gap], 1) for _ in range(2)]
    results = []
    for dtype in (torch.float32, torch.float64):
        s, t = (x.detach().clone().to(dtype) for x in logits)
        s.requires_grad_()
        p = [x.softmax(1) for x in (s, t)]
        if gap >= 88:  # the class counts as perfect; its probabilities do not matter to the others
            p = [x[:, :3] for x in p]
        rows = 1 - torch.stack([torch.corrcoef(torch.stack([a, b]))[0, 1] for a, b in zip(
            s.softmax(1), t.softmax(1), strict=True)])
        columns = 1 - torch.stack([torch.corrcoef(torch.stack([a, b]))[0, 1] for a, b in zip(
            p[0].t(), p[1].t(), strict=True)])
        expected = rows.mean() + columns.sum() / 4
        if dtype == torch.float32:
            expected = MODELS.build(dict(type='DISTLoss', temperature=1.0))(
                s, t, torch.zeros(6, dtype=torch.long))
        expected.backward()
        results.append((expected.item(), s.grad.double()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1], atol=1e-6, rtol=1e-4)
