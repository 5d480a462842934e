"""Arguments, teachers and gradients that are not finite."""
import math

import pytest
import torch
from mmdet.registry import MODELS

from ctkd_det.models.teachers import TeacherError
from helpers import GLOBAL, batch, build, distill, make_teacher, student_config

NUMBERS = (math.nan, math.inf, -1.0)
LOSS = dict(temperature=1.0)


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
])
def test_arguments_are_refused_where_given(config, name, value):
    with pytest.raises(ValueError, match=str(value)):
        MODELS.build({**config, name: value})


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
