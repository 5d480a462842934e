"""The power of tau and the relative adversary: where the temperature stops, and how fast."""
import pytest
import torch
import torch.nn.functional as F

from ctkd_det.models import DKDLoss, KDLoss
from ctkd_det.models.temperatures import GlobalTemperature


def logits(seed=0, n=40, c=8):
    generator = torch.Generator().manual_seed(seed)
    s, t = (scale * torch.randn(n, c + 1, dtype=torch.float64, generator=generator)
            for scale in (4.0, 8.0))
    return s.requires_grad_(), t, torch.randint(c + 1, (n, ), generator=generator)


def learned(tau=3.0):
    temperature = GlobalTemperature(tau_min=0.5, tau_range=19.5, initial_temperature=tau).double()
    temperature.grl.lambda_ = 1.0
    return temperature


def divergence(s, t, tau):
    return F.kl_div((s / tau).log_softmax(1), (t / tau).softmax(1), reduction='batchmean')


@pytest.mark.parametrize('power', [0.0, 0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize('loss', [KDLoss, DKDLoss])
def test_the_loss_has_that_power_of_tau_as_a_factor(loss, power):
    s, t, labels = logits()
    bare = loss(3.0, tau_power=0.0)(s, t, labels)
    torch.testing.assert_close(loss(3.0, tau_power=power)(s, t, labels), bare * 3.0**power)
    if loss is KDLoss:
        torch.testing.assert_close(bare, divergence(s, t, 3.0))


@pytest.mark.parametrize('power', [1.0, 1.3])
def test_the_adversary_stops_where_tau_to_the_power_times_kl_is_largest(power):
    s, t, labels = logits()
    loss = KDLoss(learned(), tau_power=power, relative_adversary=True)
    optimizer = torch.optim.SGD(loss.parameters(), lr=1.0)
    for _ in range(1500):
        optimizer.zero_grad()
        loss(s, t, labels).backward()
        optimizer.step()
    grid = torch.linspace(0.55, 19.9, 4000, dtype=torch.float64)
    values = [tau**power * divergence(s, t, tau) for tau in grid]
    best = grid[torch.stack(values).argmax()]
    assert 1 < best < 15  # inside the bounds, or this would test them
    # the grid's step is 0.005
    assert loss.temperature(s, t, labels).item() == pytest.approx(best.item(), abs=0.01)


def test_a_relative_adversary_climbs_the_logarithm_of_the_loss():
    s, t, labels = logits()
    temperature = learned()
    (theta, ) = temperature.parameters()
    plain, relative = KDLoss(temperature), KDLoss(temperature, relative_adversary=True)
    value = plain(s, t, labels)
    of_student, of_theta = torch.autograd.grad(value, (s, theta))
    new_value = relative(s, t, labels)
    new_of_student, new_of_theta = torch.autograd.grad(new_value, (s, theta))
    torch.testing.assert_close(new_value, value, rtol=0, atol=0)
    torch.testing.assert_close(new_of_student, of_student, rtol=0, atol=0)
    torch.testing.assert_close(new_of_theta, of_theta / value.detach())


def test_a_relative_adversary_does_not_care_how_heavy_the_loss_is():
    s, t, labels = logits()
    temperature = learned()
    gradients = [torch.autograd.grad(
        KDLoss(temperature, relative_adversary=True, loss_weight=weight)(s, t, labels),
        temperature.parameters()) for weight in (0.01, 1.0, 100.0)]
    for gradient in gradients[1:]:
        torch.testing.assert_close(gradient, gradients[0])


def test_relative_adversary_without_any_roi():
    s, t, labels = logits(n=0)
    temperature = learned()
    KDLoss(temperature, relative_adversary=True)(s, t, labels).backward()
    assert temperature.theta.grad == 0


def test_a_negative_power_is_refused():
    with pytest.raises(ValueError, match='tau_power'):
        KDLoss(1.0, tau_power=-1)
