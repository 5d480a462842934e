"""One side softened alone, and weights by the teacher's uncertainty: TTM and WTTM."""
import numpy as np
import pytest
import torch

from ctkd_det.models import BinaryKDLoss, KDLoss, MaskKDLoss, QualityFocalKDLoss
from logit_formulas import FORMULAS, LOSSES, Given, kl, sample, softmax


def power_transform(t, tau):
    """p^(1 / tau) of the probabilities at temperature 1, and its sum, as the paper has it."""
    powers = softmax(t)**(1 / tau)
    return powers / powers.sum(), powers.sum()


@pytest.mark.parametrize('n, c', [(0, 8), (1, 8), (7, 1), (7, 80)])
@pytest.mark.parametrize('weighted', [False, True])
def test_ttm_and_wttm_by_the_power_transform(weighted, n, c):
    s, t, labels, tau, weight = sample('kd', n, c)
    loss = KDLoss(Given(tau), soften='teacher', uncertainty_weight=weighted)
    per_roi = []
    for a, b, k in zip(s.numpy(), t.numpy(), tau.numpy().ravel(), strict=True):
        p, u = power_transform(b, k)
        per_roi.append((u if weighted else 1.0) * kl(p, softmax(a)))
    assert loss(s, t, labels, weight, 4.0).item() == pytest.approx(
        (np.array(per_roi) * weight.numpy()).sum() / 4, rel=1e-9)


@pytest.mark.parametrize('power', [None, 2.0])
@pytest.mark.parametrize('soften', ['teacher', 'student'])
@pytest.mark.parametrize('name', LOSSES)
def test_one_side_is_divided_by_tau_and_the_other_by_1(name, soften, power):
    """Without a factor of tau; if one is asked for, it is that of the softened side."""
    s, t, labels, tau, weight = sample(name, 7, 8)
    found = LOSSES[name](Given(tau), soften=soften, tau_power=power)(s, t, labels, weight, 4.0)
    k = tau.numpy()
    divided = (s.numpy(), t.numpy() / k) if soften == 'teacher' else (s.numpy() / k, t.numpy())
    bare = np.array(FORMULAS[name](*divided, labels.numpy(), np.ones(7)))
    factor = 1 if power is None else k.ravel()**2
    assert found.item() == pytest.approx((bare * factor) @ weight.numpy() / 4, rel=1e-9)


@pytest.mark.parametrize('soften', ['teacher', 'student'])
def test_of_a_pair_the_softened_sides_own_tau_is_taken(soften):
    s, t, labels, tau, _ = sample('kd', 7, 8)
    pair = (tau, 2 * tau)
    own = pair[soften == 'teacher']
    found, expected = (KDLoss(Given(x), soften=soften, tau_power=2.0)(s, t, labels)
                       for x in (pair, own))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('soften', ['teacher', 'student'])
@pytest.mark.parametrize('name', LOSSES)
def test_gradients(name, soften):
    s, t, labels, tau, weight = sample(name, 4, 3, scale=1.0)

    def of(s, tau):
        return LOSSES[name](Given(tau), soften=soften)(s, t, labels, weight, 4.0)

    assert torch.autograd.gradcheck(of, (s.requires_grad_(), tau.requires_grad_()))


def test_the_gradient_of_ttm_is_the_difference_of_probabilities():
    """Whatever tau is: the student is not softened, so nothing is divided by tau."""
    s, t, labels, tau, _ = sample('kd', 7, 8)
    s = s.requires_grad_()
    (found, ) = torch.autograd.grad(KDLoss(Given(tau), soften='teacher')(s, t, labels), s)
    torch.testing.assert_close(found, (s.softmax(1) - (t / tau).softmax(1)) / 7)


def test_at_a_temperature_of_1_all_of_them_are_kd():
    s, t, labels, *_ = sample('kd', 7, 8)
    kd = KDLoss(1.0)(s, t, labels)
    for options in (dict(soften='teacher'), dict(soften='student'), dict(uncertainty_weight=True)):
        torch.testing.assert_close(KDLoss(1.0, **options)(s, t, labels), kd)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_weights_of_certain_and_of_undecided_teachers(dtype):
    """U is 1 where the teacher is certain, and 9 ** (1 - 1 / 2) = 3 of 9 equal logits."""
    t = torch.zeros(2, 9, dtype=dtype)
    t[0, 3] = 1e4
    s = torch.randn(2, 9, dtype=dtype).requires_grad_()
    labels = torch.tensor([3, 8])
    for row, factor in enumerate((1, 3)):
        plain, weighted = (KDLoss(2.0, soften='teacher', uncertainty_weight=option)(
            s[row:row + 1], t[row:row + 1], labels[row:row + 1]) for option in (False, True))
        torch.testing.assert_close(weighted, factor * plain)
        (gradient, ) = torch.autograd.grad(weighted, s)
        assert gradient.isfinite().all()


def test_no_gradient_flows_through_the_weight():
    """A learned tau climbs the divergence, and not the weights of the RoIs."""
    s, t, labels, tau, _ = sample('kd', 1, 8)
    of_tau = []
    for weighted in (False, True):
        tau = tau.detach().requires_grad_()
        KDLoss(Given(tau), soften='teacher', uncertainty_weight=weighted)(s, t, labels).backward()
        of_tau.append(tau.grad)
    u = power_transform(t[0].numpy(), tau.item())[1]
    torch.testing.assert_close(of_tau[1], u * of_tau[0])


@pytest.mark.parametrize('make, message', [
    (lambda: KDLoss(1.0, soften='none'), "soften must be 'both', 'teacher' or 'student'"),
    (lambda: KDLoss(1.0, soften='student', uncertainty_weight=True), 'needs a softened teacher'),
    (lambda: BinaryKDLoss(1.0, uncertainty_weight=True), 'end in a softmax, BinaryKDLoss for si'),
    # of one class, or of a mask's pixels, nothing would be left
    *[(lambda kind=kind: kind(1.0, standardize=True), f'standardize is .* {kind.__name__} for sigm')
      for kind in (BinaryKDLoss, QualityFocalKDLoss, MaskKDLoss)],
])
def test_what_has_no_meaning_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


class OldForm(KDLoss):
    """KL as a user's own loss of version 0.1 computed it, which divided by tau itself."""

    def divergence(self, s, t, labels, tau):
        log_p_s, log_p_t = (s / tau).log_softmax(1), (t / tau).log_softmax(1)
        return (log_p_t.exp() * (log_p_t - log_p_s)).sum(1)


def test_a_loss_in_the_form_of_version_0_1_still_computes_the_same():
    s, t, labels, tau, weight = sample('kd', 7, 8)
    with pytest.warns(FutureWarning, match='take tau out'):
        old = OldForm(Given(tau))
    torch.testing.assert_close(old(s, t, labels, weight, 4.0),
                               KDLoss(Given(tau))(s, t, labels, weight, 4.0))
    with pytest.warns(FutureWarning):
        two = OldForm(Given((tau, 2 * tau)))
    with pytest.raises(ValueError, match='OldForm.divergence takes one tau for both sides'):
        two(s, t, labels)
