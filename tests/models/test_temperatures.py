import math

import pytest
import torch

from ctkd_det.models import (
    FixedTemperature,
    GlobalTemperature,
    GroupTemperature,
    InstanceTemperature,
)

NOTHING = (torch.zeros(3, 9), torch.zeros(3, 9), torch.zeros(3, dtype=torch.long))


def test_paper_values_start_at_15_62():
    # 1 + 20 / (1 + e^-1) = 15.6212, by hand
    tau = GlobalTemperature(1.0, 20.0, init=1.0)(*NOTHING)
    assert tau.shape == (1, )
    assert tau.item() == pytest.approx(15.6212, abs=1e-4)
    # also where only the paper's bounds are given, between which 1 does not lie
    assert GlobalTemperature(1.0, 20.0)(*NOTHING).item() == tau.item()


@pytest.mark.parametrize('make, otherwise', [
    (GlobalTemperature, 2 + 6 / (1 + math.exp(-1))),
    (lambda *bounds: InstanceTemperature(8, 4, *bounds), 5.0),
    (lambda *bounds: GroupTemperature('class', 8, *bounds), 5.0)])
def test_every_learned_temperature_starts_at_1_where_it_can(make, otherwise):
    for bounds in ((), (0.5, 1.5), (0.25, 7.75)):
        tau = make(*bounds)(*NOTHING)
        torch.testing.assert_close(tau, torch.ones_like(tau))
    tau = make(2.0, 6.0)(*NOTHING)
    torch.testing.assert_close(tau, torch.full_like(tau, otherwise))
    assert (make().bounds.tau_min, make().bounds.tau_max) == (0.5, 2.0)


def test_initial_temperature_is_tau_itself():
    tau = GlobalTemperature(0.5, 1.5, initial_temperature=1.0)(*NOTHING)
    assert tau.item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize('theta, expected', [(-40.0, 0.5), (40.0, 2.0)])
def test_stays_within_its_bounds(theta, expected):
    temperature = GlobalTemperature(0.5, 1.5)
    temperature.theta.data.fill_(theta)
    assert temperature(*NOTHING).item() == pytest.approx(expected)


def test_theta_moves_uphill():
    temperature = GlobalTemperature(1.0, 20.0, init=0.3)
    temperature.grl.lambda_ = 0.5
    temperature(*NOTHING).sum().backward()
    sigmoid = 1 / (1 + math.exp(-0.3))
    assert temperature.theta.grad.item() == pytest.approx(-0.5 * 20 * sigmoid * (1 - sigmoid))


def test_half_precision_model_still_gives_float32():
    assert GlobalTemperature().half()(*NOTHING).dtype == torch.float32
    assert FixedTemperature(4.0).half()(*NOTHING).dtype == torch.float32
    # its logits come in float32; bfloat16, because older torch multiplies no half on the CPU
    assert InstanceTemperature(8).bfloat16()(*NOTHING).dtype == torch.float32


def test_fixed():
    temperature = FixedTemperature(4.0)
    assert temperature(*NOTHING).tolist() == [4.0]
    assert not list(temperature.parameters()) and not temperature.state_dict()
    assert temperature.lambda_ is None


@pytest.mark.parametrize('make', [
    lambda: FixedTemperature(0), lambda: FixedTemperature(-1), lambda: FixedTemperature(math.nan),
    lambda: GlobalTemperature(tau_min=0), lambda: GlobalTemperature(tau_range=-1),
    lambda: GlobalTemperature(1, 20, initial_temperature=21),
    lambda: GlobalTemperature(1, 20, initial_temperature=0.9),
    lambda: GlobalTemperature(init=1.0, initial_temperature=4.0),
])
def test_impossible_temperatures_are_refused(make):
    with pytest.raises(ValueError):
        make()


def test_statistics():
    statistics = FixedTemperature(1.0).statistics(torch.tensor([[1.0], [2.0], [6.0]]))
    assert {k: v.item() for k, v in statistics.items()} == dict(tau_mean=3, tau_min=1, tau_max=6)
    assert FixedTemperature(1.0).statistics(torch.zeros(0, 1)) == {}
