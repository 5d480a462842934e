"""Losses of random inputs, ordinary and absurd, are finite, and so are their gradients."""
import os

import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from mmdet.registry import MODELS

import ctkd_det  # noqa: F401

# long: 10,000 examples of each test
EXAMPLES = 10_000 if os.environ.get('CTKD_DET_LONG') else 150
RANDOM = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
                  suppress_health_check=list(HealthCheck))

TEMPERATURES = st.one_of(
    st.floats(1e-3, 1e3),
    st.builds(dict, type=st.just('GlobalTemperature'), tau_min=st.floats(1e-2, 5),
              tau_range=st.floats(1e-2, 50), init=st.floats(-5, 5)),
    st.builds(dict, type=st.just('GroupTemperature'), by=st.just('class'), num_classes=st.just(4)),
    st.builds(dict, type=st.just('DTKDTemperature'), temperature=st.floats(0.5, 1e3),
              tau_min=st.floats(1e-3, 0.5)),
    st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=3))
SHAPES = st.tuples(st.sampled_from([0, 1, 2, 3, 17]), st.just(5))


@st.composite
def logits(draw, shape):
    """Drawn from a seed, scaled; some of them equal, some far from the others."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    z = torch.randn(shape, generator=generator) * draw(st.sampled_from([0, 1e-6, 1., 30., 1e3]))
    if draw(st.booleans()):
        z[:, draw(st.integers(0, shape[1] - 1))] -= draw(st.floats(0, 2e3))
    return z.to(draw(st.sampled_from([torch.float32, torch.float64, torch.float16])))


def assert_finite(loss, s, *inputs, **options):
    value = loss(s, *inputs, **options)
    # a divergence of 0 may be rounded below it, by some of float32's last digits
    rounding = 1e-6 * max(1.0, float(loss.statistics.get('tau_max', 1.0)))**loss.tau_power
    assert value.isfinite() and value >= -rounding and value.shape == ()
    value.backward()
    assert s.grad.isfinite().all()
    for name, parameter in loss.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


@RANDOM
@given(st.data(), st.sampled_from(['KDLoss', 'DKDLoss', 'DISTLoss', 'BinaryKDLoss']), TEMPERATURES,
       SHAPES, st.sampled_from([None, 0.0, 0.5]), st.booleans(), st.floats(0, 2),
       st.sampled_from(['both', 'teacher', 'student']), st.booleans())
def test_logit_losses(data, kind, temperature, shape, foreground_weight, standardize, power, soften,
                      uncertainty):
    of_softmax_only = uncertainty or standardize or 'DTKD' in str(temperature)
    assume(not (kind == 'BinaryKDLoss' and of_softmax_only) and not (
        uncertainty and soften == 'student'))
    s, t = data.draw(logits(shape)).requires_grad_(), data.draw(logits(shape))
    labels = torch.tensor(data.draw(st.lists(st.integers(0, 4), min_size=shape[0],
                                             max_size=shape[0])), dtype=torch.long)
    weight = data.draw(st.sampled_from([None, torch.zeros(shape[0]), torch.ones(shape[0])]))
    loss = MODELS.build(dict(
        type=kind, temperature=temperature, foreground_weight=foreground_weight,
        standardize=standardize, tau_power=power, soften=soften, uncertainty_weight=uncertainty))
    for module in loss.modules():
        if hasattr(module, 'lambda_') and hasattr(module, '_lambda'):
            module.lambda_ = 1.0
    theta = getattr(loss.temperature, 'theta', None)
    if theta is not None:  # an adversary may get far
        theta.data *= 6
    if s.dtype == torch.float16:  # whose numbers end at 65504
        full = s.detach().float().requires_grad_()
        assert_finite(loss, full, t, labels, weight=weight)
        # a loss of so large a gradient: a tau of 1e-3, or nearly equal logits that are standardized
        if full.numel() and full.grad.abs().max() > 6e4:
            return
        loss.zero_grad()
    assert_finite(loss, s, t, labels, weight=weight)
