"""Every logit loss against a float64 formula written from its paper with numpy loops."""
import pytest
import torch

from ctkd_det.models import BinaryKDLoss, DISTLoss, DKDLoss, KDLoss, QualityFocalKDLoss
from ctkd_det.models.losses import Window
from logit_formulas import CASES, LOSSES, SIGMOIDS, Given, binary, expected, sample


@pytest.mark.parametrize('name, n, c', CASES)
def test_value_with_a_temperature_for_each_roi(name, n, c):
    s, t, labels, tau, weight = sample(name, n, c)
    loss = LOSSES[name](Given(tau))
    found = loss(s, t, labels, weight, 4.0)
    assert found.item() == pytest.approx(expected(name, s, t, labels, tau, weight, 4.0), rel=1e-9)


@pytest.mark.parametrize('name, n, c', [case for case in CASES if case[2] <= 8])
def test_gradients_of_student_and_temperature(name, n, c):
    s, t, labels, tau, weight = sample(name, n, c, scale=1.0)

    def of(s, tau):
        return LOSSES[name](Given(tau))(s, t, labels, weight, 4.0)

    assert torch.autograd.gradcheck(of, (s.requires_grad_(), tau.requires_grad_()))


@pytest.mark.parametrize('name', LOSSES)
def test_nothing_flows_into_the_teacher(name):
    s, t, labels, tau, _ = sample(name, 6, 8)
    LOSSES[name](Given(tau))(s.requires_grad_(), t.requires_grad_(), labels).backward()
    assert t.grad is None and s.grad.abs().sum() > 0


@pytest.mark.parametrize('n', [1, 6])
@pytest.mark.parametrize('name', LOSSES)
def test_equal_logits_give_zero(name, n):
    s, _, labels, tau, _ = sample(name, n, 8)
    assert LOSSES[name](Given(tau))(s, s, labels).item() == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize('name', LOSSES)
def test_logits_of_ten_thousand_stay_finite_in_float32(name):
    s, t, labels, tau, _ = (x.float() if x.is_floating_point() else x
                            for x in sample(name, 6, 8, scale=1e4))
    value = LOSSES[name](Given(tau))(s.requires_grad_(), t, labels)
    value.backward()
    assert value.isfinite() and s.grad.isfinite().all() and value > 1


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('name', LOSSES)
def test_autocast_gives_the_value_of_float32(name, dtype):
    s, t, labels, tau, _ = sample(name, 6, 8)
    s, t, tau = s.to(dtype), t.to(dtype), tau.float()
    exact = LOSSES[name](Given(tau))(s.float(), t.float(), labels)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = LOSSES[name](Given(tau))(s.requires_grad_(), t, labels)
    value.backward()
    assert value.item() == pytest.approx(exact.item(), rel=1e-6) and s.grad.isfinite().all()


@pytest.mark.parametrize('name', sorted(LOSSES.keys() - SIGMOIDS))
def test_standardized_logits_do_not_care_for_shift_and_scale(name):
    s, t, labels, tau, _ = sample(name, 6, 8)
    loss = LOSSES[name](Given(tau), standardize=True)
    value = loss(s, t, labels)
    # also where the logits differ by some ten-thousandths only
    torch.testing.assert_close(loss(3 * s + 1, 2e-4 * t - 5, labels), value)
    by_hand = [(z - z.mean(1, keepdim=True)) / z.std(1, keepdim=True, correction=0)
               for z in (s, t)]
    torch.testing.assert_close(LOSSES[name](Given(tau))(*by_hand, labels), value)


@pytest.mark.parametrize('scale', [1, 10, 40, 200])
@pytest.mark.parametrize('name', LOSSES)
def test_float32_agrees_with_float64_at_every_scale(name, scale):
    """Between moderate and extreme logits probabilities underflow one after the other.

    Up to 200: beyond, whole columns of DIST's probabilities are 0 in float32, where they count
    as constant, while float64 still tells them apart.
    """
    results = []
    for dtype in (torch.float64, torch.float32):
        s, t, labels, tau, _ = (x.to(dtype) if x.is_floating_point() else x
                                for x in sample(name, 6, 8, scale=scale))
        value = LOSSES[name](Given(tau))(s.requires_grad_(), t, labels)
        value.backward()
        results.append((value.item(), s.grad.double()))
    assert results[1][0] == pytest.approx(results[0][0], rel=1e-4)
    assert results[1][1].isfinite().all()
    if name != 'dist':  # gradients of correlations of underflowing columns may differ
        torch.testing.assert_close(results[1][1], results[0][1], rtol=1e-3, atol=1e-4)


def test_learned_temperatures_are_computed_in_float32_under_autocast():
    """A perceptron in bfloat16 would be off by some 0.4 %."""
    torch.manual_seed(0)
    loss = KDLoss(dict(type='InstanceTemperature', num_classes=8))
    torch.nn.init.normal_(loss.temperature.out.weight)
    s, t, labels, _, _ = sample('kd', 6, 8)
    s, t = s.bfloat16(), t.bfloat16()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = loss(s, t, labels)
    assert value.item() == pytest.approx(loss(s.float(), t.float(), labels).item(), rel=1e-6)


def test_background_of_a_sigmoid_head_is_one_past_the_last_logit():
    s, t, _, tau, _ = sample('binary', 4, 8)
    labels = torch.tensor([7, 8, 8, 8])
    only_foreground = BinaryKDLoss(Given(tau), foreground_weight=1.0)(s, t, labels)
    assert only_foreground.item() == pytest.approx(
        binary(s[:1].numpy(), t[:1].numpy(), None, tau[:1].numpy().ravel())[0])


@pytest.mark.parametrize('options', [dict(tau_power=-1), dict(window=dict(begin=-1)),
                                     dict(window=dict(begin=3, end=3)),
                                     dict(window=dict(warmup=-1)), dict(window=dict(every=0)),
                                     dict(window=dict(begin=1.5)), dict(window=dict(warmup=2.0)),
                                     dict(window=dict(begin=0.5, end=0.5))])
def test_bad_options(options):
    with pytest.raises(ValueError):
        KDLoss(1.0, **options)


def test_a_power_whose_gradient_is_infinite_where_both_agree_is_refused():
    with pytest.raises(ValueError, match='beta must be a finite number >= 1, got 0.5'):
        QualityFocalKDLoss(beta=0.5)


@pytest.mark.parametrize('options, factors', [
    (dict(), [1, 1, 1, 1, 1, 1]),
    (dict(begin=2, end=4), [0, 0, 1, 1, 0, 0]),
    (dict(begin=1, warmup=3), [0, .25, .5, .75, 1, 1]),
    (dict(begin=1, by_epoch=True), [0, 0, 0, 1, 1, 1]),
    (dict(begin=1, every=2, warmup=3), [0, .25, 0, .75, 0, 1]),
    (dict(by_epoch=True, every=2), [1, 1, 1, 0, 0, 0]),
    # parts of the training
    (dict(begin=0.5, warmup=0.5), [0, 0, 0, .25, .5, .75]),
    (dict(begin=0.34, end=5), [0, 0, 1, 1, 1, 0]),
    (dict(begin=0.5, by_epoch=True), [0, 0, 0, 1, 1, 1]),
    (dict(end=0.5), [1, 1, 1, 0, 0, 0]),
    # that are shorter than a step
    (dict(begin=0.96), [0, 0, 0, 0, 0, 1]),
    (dict(begin=0.5, end=0.54), [0, 0, 0, 1, 0, 0]),
    (dict(end=0.1, by_epoch=True), [1, 1, 1, 0, 0, 0]),
])
def test_window(options, factors):
    window, found = Window(**options), []
    for step in range(6):
        window.move_to(step, step // 3, max_iters=6, max_epochs=2)
        found.append(window.factor)
    assert found == pytest.approx(factors)


@pytest.mark.parametrize('begin', [0.5, 2])
def test_a_window_that_opens_later_is_closed_where_nothing_is_trained(begin):
    window = Window(begin=begin)
    assert window.waits and window.factor == 0
    assert not Window(warmup=1).waits and Window(warmup=1).factor == 0.5


def test_window_scales_the_loss():
    s, t, labels, tau, _ = sample('kd', 6, 8)
    loss = KDLoss(Given(tau), window=dict(begin=0, warmup=3))
    full = KDLoss(Given(tau))(s, t, labels)
    torch.testing.assert_close(loss(s, t, labels), full / 4)
    assert loss.active


@pytest.mark.parametrize('loss, said', [
    (KDLoss(1.0, standardize=True), 'standardize=True says nothing of one class'),
    (DKDLoss(1.0, standardize=True), 'standardize=True says nothing of one class'),
    (DISTLoss(1.0), 'Set beta=0; gamma still teaches'),
    (DISTLoss(1.0, beta=0.5, gamma=0.0), 'beta=0.5 weights')], ids=['kd', 'dkd', 'dist', 'beta'])
def test_what_two_logits_cannot_teach_is_refused(loss, said):
    """They would have a large value, and of the student's gradient rounding noise."""
    s, t, labels = (torch.randn(6, 2), torch.randn(6, 2), torch.tensor([0, 1] * 3))
    with pytest.raises(ValueError, match=said):
        loss(s, t, labels)
    loss(s.repeat(1, 2)[:, :3], t.repeat(1, 2)[:, :3], labels)


@pytest.mark.parametrize('loss', [KDLoss(1.0), DKDLoss(1.0), DISTLoss(1.0, beta=0)],
                         ids=['kd', 'dkd', 'dist'])
def test_what_is_left_teaches_one_class(loss):
    s, t = (torch.randn(6, 2) for _ in range(2))
    loss(s.requires_grad_(), t, torch.tensor([0, 1] * 3)).backward()
    assert s.grad.abs().max() > 1e-3
