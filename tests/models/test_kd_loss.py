"""KDLoss against formulas written independently, in float64 unless said otherwise."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ctkd_det.models import KDLoss

N, C = 7, 8


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    s, t = (3 * torch.randn(N, C + 1, dtype=torch.float64, generator=generator) for _ in range(2))
    return s, t, torch.tensor([0, 3, 8, 8, 8, 1, 8])


def numpy_kd(s, t, tau):
    """tau^2 KL(teacher || student) per RoI, term by term with numpy."""

    def softmax(z):
        e = np.exp(z - z.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    p_s, p_t = softmax(s.numpy() / tau), softmax(t.numpy() / tau)
    return (p_t * np.log(p_t / p_s)).sum(1) * tau**2


def adversarial(tau_min=1.0, tau_range=20.0, init=1.0, lambda_=1.0, **kwargs):
    loss = KDLoss(dict(type='GlobalTemperature', tau_min=tau_min, tau_range=tau_range, init=init),
                  **kwargs)
    loss.temperature.grl.lambda_ = lambda_
    loss.double().temperature.theta.data.fill_(init)  # init in float64, too
    return loss


def test_equals_batchmean_times_16(data):
    s, t, labels = data
    expected = F.kl_div(F.log_softmax(s / 4, 1), F.softmax(t / 4, 1), reduction='batchmean') * 16
    assert abs(KDLoss(4.0)(s, t, labels) - expected) < 1e-6


def test_learned_temperature_gives_the_same_value_at_the_same_tau(data):
    loss = adversarial()
    tau = loss.temperature(*data).item()
    assert loss(*data).item() == pytest.approx(KDLoss(tau).double()(*data).item(), rel=1e-6)


@pytest.mark.parametrize('tau', [0.5, 1.0, 7.3])
def test_against_numpy(data, tau):
    s, t, labels = data
    assert KDLoss(tau)(s, t, labels).item() == pytest.approx(numpy_kd(s, t, tau).mean(), rel=1e-6)


def test_weights_and_avg_factor(data):
    s, t, labels = data
    weight = torch.tensor([1., 0., 2., 1., 0., .5, 1.], dtype=torch.float64)
    per_roi = numpy_kd(s, t, 2.0)
    summed = (per_roi * weight.numpy()).sum()
    loss = KDLoss(2.0, loss_weight=0.3)
    assert loss(s, t, labels, weight, 4.0).item() == pytest.approx(0.3 * summed / 4)
    assert loss(s, t, labels, weight).item() == pytest.approx(0.3 * summed / 5.5)


@pytest.mark.parametrize('share', [0.0, 0.5, 0.8, 1.0])
def test_foreground_weight_is_the_share_of_the_foreground(data, share):
    s, t, labels = data
    per_roi, foreground = numpy_kd(s, t, 2.0), labels.numpy() != C
    expected = share * per_roi[foreground].mean() + (1 - share) * per_roi[~foreground].mean()
    loss = KDLoss(2.0, foreground_weight=share)
    assert loss(s, t, labels).item() == pytest.approx(expected)
    # of a mean: neither the size of the weights nor what the loss would be divided by counts
    assert loss(s, t, labels, torch.full((N, ), 0.05), 2.0).item() == pytest.approx(expected)


def test_a_group_without_rois_contributes_nothing(data):
    s, t, _ = data
    background = torch.full((N, ), C)
    loss = KDLoss(2.0, foreground_weight=0.75)(s, t, background)
    assert loss.item() == pytest.approx(0.25 * numpy_kd(s, t, 2.0).mean())


def test_gradient_of_the_student(data):
    # d/ds of tau^2 KL is tau (p_s - p_t) for each RoI, by hand
    s, t, labels = data
    s.requires_grad_()
    KDLoss(3.0)(s, t, labels).backward()
    expected = 3.0 * (F.softmax(s / 3, 1) - F.softmax(t / 3, 1)) / N
    torch.testing.assert_close(s.grad, expected.detach())


@pytest.mark.parametrize('lambda_', [0.0, 0.4, 1.0])
def test_theta_gets_minus_lambda_times_the_finite_difference(data, lambda_):
    step = 1e-6
    up, down = (adversarial(init=0.2 + d)(*data).item() for d in (step, -step))
    loss = adversarial(init=0.2, lambda_=lambda_)
    loss(*data).backward()
    # float64, central difference: error about step^2 + 1e-16 / step
    assert loss.temperature.theta.grad.item() == pytest.approx(
        -lambda_ * (up - down) / (2 * step), rel=1e-6, abs=1e-12)


def test_a_step_on_theta_raises_the_loss_and_lambda_0_leaves_it(data):
    for lambda_ in (1.0, 0.0):
        loss = adversarial(lambda_=lambda_, init=-1.0)
        optimizer = torch.optim.SGD(loss.parameters(), lr=0.05)
        before, theta = loss(*data), loss.temperature.theta.item()
        before.backward()
        optimizer.step()
        after = loss(*data)
        if lambda_:
            assert after > before
        else:
            assert loss.temperature.theta.item() == theta and after == before


def test_nothing_flows_into_the_teacher(data):
    s, t, labels = data
    t.requires_grad_()
    s.requires_grad_()
    adversarial()(s, t, labels).backward()
    assert t.grad is None and s.grad.abs().sum() > 0


def test_equal_logits_give_zero_and_huge_ones_stay_finite(data):
    s, t, labels = data
    assert KDLoss(2.0)(s, s, labels).item() == 0
    s = (s * 1e4).float().requires_grad_()
    loss = KDLoss(1.0)(s, (t * 1e4).float(), labels)
    loss.backward()
    assert loss.isfinite() and s.grad.isfinite().all() and loss > 1e4


@pytest.mark.parametrize('foreground_weight', [None, 0.5])
def test_no_roi_gives_zero_with_a_graph(foreground_weight):
    s = torch.zeros(0, C + 1, requires_grad=True)
    loss = adversarial(foreground_weight=foreground_weight).float()
    value = loss(s, torch.zeros(0, C + 1), torch.zeros(0, dtype=torch.long), torch.zeros(0), 1.0)
    value.backward()
    assert value.item() == 0 and loss.temperature.theta.grad.item() == 0


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_autocast_computes_in_float32(data, dtype):
    s, t, labels = data
    # what the loss receives is rounded; from there on nothing may be lost
    s, t = s.to(dtype), t.to(dtype)
    expected = KDLoss(4.0)(s.float(), t.float(), labels)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert KDLoss(4.0)(s, t, labels) == expected


def test_inactive_with_weight_zero():
    assert not KDLoss(1.0, loss_weight=0.0).active and KDLoss(1.0).active


@pytest.mark.parametrize('options', [
    dict(loss_weight=-1), dict(foreground_weight=1.1), dict(foreground_weight=-0.1)])
def test_bad_options(options):
    with pytest.raises(ValueError):
        KDLoss(1.0, **options)


def test_other_classes_are_named_in_the_error(data):
    with pytest.raises(ValueError, match=r'\(7, 9\).*\(7, 81\)'):
        KDLoss(1.0)(data[0], torch.zeros(N, 81), data[2])
