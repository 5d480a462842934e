"""Temperatures of student and teacher apart: what every logit loss does with them, and DTKD's."""
import numpy as np
import pytest
import torch

from ctkd_det.models import BinaryKDLoss, DTKDTemperature, KDLoss, MultiLevelTemperature
from logit_formulas import CASES, FORMULAS, LOSSES, Given, kl, sample, softmax


def of_each_roi(name, s, t, labels, tau_s, tau_t, power=2.0):
    """(tau_s tau_t)^(power / 2) times the loss of divided logits, by numpy, one a RoI."""
    s, t, tau_s, tau_t = (x.detach().double().numpy() for x in (s, t, tau_s, tau_t))
    bare = FORMULAS[name](s / tau_s, t / tau_t, labels.numpy(), np.ones(len(s)))
    return np.array(bare) * ((tau_s * tau_t)**(power / 2)).ravel()


@pytest.mark.parametrize('name, n, c', CASES)
def test_every_loss_takes_a_pair(name, n, c):
    s, t, labels, tau_s, weight = sample(name, n, c)
    tau_t = 5 - tau_s
    found = LOSSES[name](Given((tau_s, tau_t)))(s, t, labels, weight, 4.0)
    expected = of_each_roi(name, s, t, labels, tau_s, tau_t) @ weight.numpy() / 4
    assert found.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize('name', LOSSES)
def test_a_pair_may_mix_one_tau_for_all_with_one_for_each(name):
    s, t, labels, tau_t, _ = sample(name, 7, 8)
    one = torch.tensor([1.5], dtype=torch.float64)
    found = LOSSES[name](Given((one, tau_t)))(s, t, labels)
    assert found.item() == pytest.approx(
        of_each_roi(name, s, t, labels, one.expand(7)[:, None], tau_t).mean(), rel=1e-9)


@pytest.mark.parametrize('name', LOSSES)
def test_a_pair_of_equals_is_one_temperature(name):
    s, t, labels, tau, weight = sample(name, 7, 8)
    for power in (0.0, 1.0, 2.0):
        one, two = (LOSSES[name](Given(x), tau_power=power)(s, t, labels, weight)
                    for x in (tau, (tau, tau.clone())))
        torch.testing.assert_close(two, one)


@pytest.mark.parametrize('name', LOSSES)
def test_gradients_of_student_and_both_temperatures(name):
    s, t, labels, tau, weight = sample(name, 4, 3, scale=1.0)

    def of(s, tau_s, tau_t):
        return LOSSES[name](Given((tau_s, tau_t)))(s, t, labels, weight, 4.0)

    inputs = [x.requires_grad_() for x in (s, tau, (6 - tau).detach())]
    assert torch.autograd.gradcheck(of, inputs)


def test_a_relative_adversary_slows_both():
    s, t, labels, tau, _ = sample('kd', 5, 8)
    pairs = [tuple(x.clone().requires_grad_() for x in (tau, 6 - tau)) for _ in range(2)]
    values = [KDLoss(Given(pair), relative_adversary=relative)(s, t, labels)
              for pair, relative in zip(pairs, (False, True), strict=True)]
    for value in values:
        value.backward()
    for plain, relative in zip(*pairs, strict=True):
        torch.testing.assert_close(relative.grad, plain.grad / values[0])


def test_the_log_tells_both_sides_apart():
    pair = torch.tensor([[1.0], [2.0]]), torch.tensor([[7.0], [4.0]])
    loss = KDLoss(Given(pair))
    loss(torch.rand(2, 3), torch.rand(2, 3), torch.zeros(2).long())
    assert {key: value.item() for key, value in loss.statistics.items()} == dict(
        tau_mean=3.5, tau_min=1, tau_max=7, tau_student=1.5, tau_teacher=5.5)
    # one side for all RoIs counts as much as the other
    assert Given(None).statistics((torch.tensor([1.0]), pair[1]))['tau_mean'].item() == 3.25
    assert Given(None).statistics((torch.tensor([1.0]), torch.zeros(0, 1))) == {}


def dtkd_by_hand(s, t, reference):
    """tau of each RoI by the formula, from rows without their mean, with Python's numbers."""
    pairs = []
    for a, b in zip(s.tolist(), t.tolist(), strict=True):
        m_s, m_t = (max(row) - sum(row) / len(row) for row in (a, b))
        pairs.append([2 * m / (m_s + m_t) * reference for m in (m_s, m_t)])
    return torch.tensor(pairs, dtype=torch.float64).reshape(-1, 2).T[..., None]


@pytest.mark.parametrize('n, c', [case[1:] for case in CASES if case[0] == 'kd'])
def test_dtkd_and_its_loss(n, c):
    s, t, labels, _, weight = sample('kd', n, c)
    temperature = DTKDTemperature(3.0, tau_min=1e-3)
    tau_s, tau_t = temperature(s, t, labels)
    expected = dtkd_by_hand(s, t, 3.0)
    assert tau_s.shape == tau_t.shape == (n, 1)
    torch.testing.assert_close(torch.stack([tau_s, tau_t]), expected)
    value = KDLoss(temperature)(s, t, labels, weight, 4.0)
    by_hand = sum(w * a * b * kl(softmax(v / b), softmax(u / a)) for u, v, a, b, w in zip(
        s.numpy(), t.numpy(), *expected[..., 0].tolist(), weight.tolist(), strict=True)) / 4
    assert value.item() == pytest.approx(by_hand, rel=1e-9)


def test_dtkd_of_the_paper_where_its_largest_logit_is_a_distance():
    """For rows of mean 0 it is the paper's own formula: 2 * 6 / (6 + 2) * 4 and 2 * 2 / 8 * 4."""
    s, t = torch.tensor([[6., -3., -3.]]), torch.tensor([[2., -1., -1.]])
    tau_s, tau_t = DTKDTemperature()(s, t, None)
    assert (tau_s.item(), tau_t.item()) == (6, 2)
    # a number added to all logits of a side, which no softmax sees: the largest is negative
    moved = DTKDTemperature()(s - 100, t + 7, None)
    torch.testing.assert_close(torch.cat(moved), torch.cat([tau_s, tau_t]))


def test_dtkd_makes_both_equally_sharp_at_any_scale():
    s, t, labels, *_ = sample('kd', 7, 8)
    for scale in (1e-3, 1.0, 0.5, 1e3):
        tau_s, tau_t = DTKDTemperature(4.0, tau_min=1e-6)(scale * s, t, labels)
        a, b = ((z - z.mean(1, keepdim=True)).amax(1, keepdim=True) / tau
                for z, tau in ((scale * s, tau_s), (t, tau_t)))
        torch.testing.assert_close(a, b)
        torch.testing.assert_close(tau_s + tau_t, torch.full_like(tau_s, 8))
        both = DTKDTemperature(4.0, tau_min=1e-6)(scale * s, scale * t, labels)
        torch.testing.assert_close(both, DTKDTemperature(4.0, tau_min=1e-6)(s, t, labels))


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('value', [0.0, 3.3, -1e4, 1e4])
def test_dtkd_of_equal_logits(value, dtype):
    """Both T if no side says anything; the bounds if one of them does not."""
    flat, t = torch.full((2, 7), value, dtype=dtype), torch.randn(2, 7).to(dtype)
    cases = (((flat, flat), (4, 4)), ((flat, t), (0.5, 7.5)), ((t, flat), (7.5, 0.5)))
    for pair, expected in cases:
        taus = DTKDTemperature()(*pair, None)
        assert [x.unique().item() for x in taus] == list(expected)
        s = pair[0].clone().requires_grad_()
        loss = KDLoss(DTKDTemperature())(s, pair[1], torch.zeros(2).long())
        loss.backward()
        assert loss.isfinite() and s.grad.isfinite().all()


def test_dtkd_of_saturated_logits():
    """Of 1e4 and of 1e-30, in float32."""
    s, t, labels, *_ = (x.float() if x.is_floating_point() else x for x in sample('kd', 6, 8))
    for a, b in ((1e4, 1e4), (1e4, 1e-4), (1e-30, 1e-30), (1e-30, 1e4)):
        z = (a * s).requires_grad_()
        tau_s, tau_t = DTKDTemperature()(z, b * t, labels)
        assert ((tau_s >= 0.5) & (tau_t >= 0.5) & (tau_s + tau_t == 8)).all()
        loss = KDLoss(DTKDTemperature())(z, b * t, labels)
        loss.backward()
        assert loss.isfinite() and z.grad.isfinite().all()


def test_no_gradient_flows_through_dtkd():
    s, t, labels, *_ = sample('kd', 7, 8)
    temperature, s = DTKDTemperature(), s.requires_grad_()
    taus = temperature(s, t, labels)
    assert not any(tau.requires_grad for tau in taus)
    (found, ) = torch.autograd.grad(KDLoss(temperature)(s, t, labels), s)
    # d KL / d s = (p_s - p_t) / tau_s, times tau_s tau_t, as if both were constants
    p_s, p_t = ((z / tau).softmax(1) for z, tau in zip((s, t), taus, strict=True))
    torch.testing.assert_close(found, taus[1] * (p_s - p_t) / 7)


def test_dtkd_is_not_for_sigmoids():
    with pytest.raises(ValueError, match='DTKDTemperature is for classifiers that end in a softma'):
        BinaryKDLoss(dict(type='DTKDTemperature'))


@pytest.mark.parametrize('make, message', [
    (lambda: DTKDTemperature(0), 'temperature must be'),
    (lambda: DTKDTemperature(1.0, tau_min=0), 'tau_min must be'),
    (lambda: DTKDTemperature(1.0, tau_min=2.0), 'tau_min=2.0 is above temperature=1.0'),
    (lambda: MultiLevelTemperature([]), r'temperature=\[\]'),
    (lambda: KDLoss([1.0, -1.0]), 'a temperature must be'),
])
def test_impossible_temperatures_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize('power', [0.0, 2.0])
@pytest.mark.parametrize('name', LOSSES)
def test_several_temperatures_are_the_mean_of_the_losses_at_each(name, power):
    s, t, labels, _, weight = sample(name, 7, 8)
    found = LOSSES[name]([1, 2.5, 4], tau_power=power)(s, t, labels, weight, 4.0)
    each = [of_each_roi(name, s, t, labels, *[torch.full((7, 1), tau, dtype=torch.float64)] * 2,
                        power=power) for tau in (1, 2.5, 4)]
    assert found.item() == pytest.approx(np.mean(each, 0) @ weight.numpy() / 4, rel=1e-6)


def test_several_temperatures_in_the_log_and_without_a_roi():
    loss = KDLoss([1, 2, 6])
    value = loss(torch.rand(0, 3), torch.rand(0, 3), torch.zeros(0).long())
    assert value.item() == 0 and not list(loss.parameters()) and not loss.state_dict()
    assert {key: x.item() for key, x in loss.statistics.items()} == dict(
        tau_mean=3, tau_min=1, tau_max=6)
