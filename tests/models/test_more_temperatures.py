"""Per-RoI, per-group and scheduled temperatures."""
import pytest
import torch

from ctkd_det.models import (
    BinaryKDLoss,
    GroupTemperature,
    InstanceTemperature,
    KDLoss,
    ScheduledTemperature,
)

N, C = 6, 8
LABELS = torch.tensor([0, 3, 8, 8, 8, 3])


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return [3 * torch.randn(N, C + 1, generator=generator) for _ in range(2)]


def driven(temperature, lambda_=1.0):
    temperature.grl.lambda_ = lambda_
    return temperature


def test_instance_starts_at_the_same_tau_for_every_roi(logits):
    tau = driven(InstanceTemperature(C, 16, 0.5, 3.5, initial_temperature=1.3))(*logits, LABELS)
    assert tau.shape == (N, 1)
    torch.testing.assert_close(tau, torch.full((N, 1), 1.3))


def test_instance_learns_different_temperatures_and_climbs(logits):
    torch.manual_seed(0)
    loss = KDLoss(dict(type='InstanceTemperature', num_classes=C, tau_min=.5, tau_range=4.0))
    driven(loss.temperature)
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.2)
    before = loss(*logits, LABELS)
    for _ in range(20):
        optimizer.zero_grad()
        loss(*logits, LABELS).backward()
        optimizer.step()
    tau = loss.temperature(*logits, LABELS)
    assert loss(*logits, LABELS) > before and tau.max() - tau.min() > 0.05


def test_instance_does_not_send_gradients_into_the_logits(logits):
    s, t = (z.requires_grad_() for z in logits)
    temperature = driven(InstanceTemperature(C))
    torch.nn.init.normal_(temperature.out.weight)
    temperature(s, t, LABELS).sum().backward()
    assert s.grad is None and t.grad is None
    assert temperature.hidden.weight.grad.abs().sum() > 0


def test_instance_answers_alike_whoever_else_is_in_the_batch(logits):
    temperature = driven(InstanceTemperature(C))
    torch.nn.init.normal_(temperature.out.weight)
    s, t = logits
    torch.testing.assert_close(temperature(s, t, LABELS)[:2], temperature(s[:2], t[:2], LABELS[:2]))
    assert temperature(s[:0], t[:0], LABELS[:0]).shape == (0, 1)
    assert temperature(1e4 * s, 1e4 * t, LABELS).isfinite().all()


@pytest.mark.parametrize('by, groups', [('foreground', [0, 0, 1, 1, 1, 0]),
                                        ('class', [0, 3, 8, 8, 8, 3])])
def test_group_hands_each_roi_its_groups_temperature(by, groups, logits):
    temperature = driven(GroupTemperature(by, C, tau_min=1, tau_range=4), 0.5)
    temperature.theta.data = torch.linspace(-2, 2, len(temperature.theta))
    tau = temperature(*logits, LABELS)
    theta = temperature.theta.detach()
    torch.testing.assert_close(tau, 1 + 4 * theta.sigmoid()[groups][:, None])
    tau.sum().backward()
    counts = torch.bincount(torch.tensor(groups), minlength=len(theta))
    slope = 4 * theta.sigmoid() * (1 - theta.sigmoid())
    torch.testing.assert_close(temperature.theta.grad, -0.5 * counts * slope)


def test_group_statistics_name_the_groups(logits):
    temperature = driven(GroupTemperature('foreground', C, initial_temperature=1.7))
    statistics = temperature.statistics(temperature(*logits, LABELS))
    assert statistics['tau_foreground'].item() == pytest.approx(1.7) == pytest.approx(
        statistics['tau_background'].item())
    names = GroupTemperature('class', 3).statistics(torch.ones(1, 1))
    assert [k for k in names if 'class' in k] == ['tau_class_0', 'tau_class_1', 'tau_class_2']


@pytest.mark.parametrize('curve, progress, expected', [
    ('linear', 0.0, 4.0), ('linear', 0.25, 3.25), ('linear', 1.0, 1.0),
    ('cosine', 0.25, 4 - 3 * (1 - 2**-0.5) / 2), ('cosine', 0.5, 2.5)])
def test_scheduled_follows_its_curve(curve, progress, expected, logits):
    temperature = ScheduledTemperature(4.0, 1.0, curve)
    temperature.progress = progress
    assert temperature(*logits, LABELS).item() == pytest.approx(expected)
    assert not list(temperature.parameters())


@pytest.mark.parametrize('make', [
    lambda: InstanceTemperature(C, tau_min=0),
    lambda: InstanceTemperature(C, initial_temperature=2),
    lambda: GroupTemperature('size', C),
    lambda: ScheduledTemperature(0, 1), lambda: ScheduledTemperature(1, 2, 'step')])
def test_impossible_temperatures_are_refused(make):
    with pytest.raises(ValueError):
        make()


@pytest.mark.parametrize('options', [
    dict(num_classes=C, use_sigmoid=True), dict(num_classes=C - 1), dict(num_logits=784)], ids=str)
def test_instance_says_what_it_is_for(options, logits):
    with pytest.raises(ValueError, match=r'is for \d+ logits in a row, but there are 9\. Give .*'
                                         'num_classes.*use_sigmoid=True.*num_logits=9'):
        InstanceTemperature(**options)(*logits, LABELS)


def test_scheduled_says_so_when_nobody_moves_it(logits):
    temperature = ScheduledTemperature(4.0, 1.0)
    with pytest.warns(UserWarning, match='CurriculumHook'):
        assert temperature(*logits, LABELS).item() == 4.0


@pytest.mark.parametrize('temperature', [
    2.0, dict(type='GlobalTemperature'),
    dict(type='InstanceTemperature', num_classes=C, use_sigmoid=True),
    dict(type='GroupTemperature', by='class', num_classes=C)])
def test_every_temperature_serves_sigmoid_heads(temperature, logits):
    s, t = (z[:, :C] for z in logits)
    assert BinaryKDLoss(temperature)(s, t, LABELS) > 0
