"""What is said of learning rates that a temperature or an adapter should not have."""
from types import SimpleNamespace

import pytest
from mmengine.optim import CosineAnnealingLR, OneCycleLR, build_optim_wrapper
from torch import nn

import ctkd_det  # noqa: F401
from ctkd_det.hooks.adaptive_steps import warn_of_short_steps
from ctkd_det.hooks.learning_rates import usual_rate, warn_of_schedules, warn_of_slow_adapters
from ctkd_det.models import FitNetLoss, KDLoss

TEMPERATURE = dict(lr_mult=0.05)


def runner(custom_keys=None, optimizer=None, scale=1, schedule=None):
    """What the monitor sees of a Runner before the first step, and the list that it logs to."""
    model = nn.ModuleDict(dict(
        backbone=nn.Linear(2, 2), roi_head=nn.Linear(2, 2),
        distill_losses=nn.ModuleDict(dict(
            loss_ctkd=KDLoss(dict(type='GlobalTemperature')),
            loss_fitnet=FitNetLoss(student_channels=2, teacher_channels=4, levels=[0])))))
    wrapper = build_optim_wrapper(model, dict(
        optimizer=optimizer or dict(type='SGD', lr=0.02),
        paramwise_cfg=dict(custom_keys=custom_keys or {})))
    for group in wrapper.param_groups:  # auto_scale_lr
        group['lr'] *= scale
    said = []
    return SimpleNamespace(
        model=model, optim_wrapper=wrapper, max_iters=100, cfg={},
        param_schedulers=[schedule(wrapper)] if schedule else [],
        logger=SimpleNamespace(warning=said.append)), said


@pytest.mark.parametrize('keys, expected', [
    (dict(distill_losses=TEMPERATURE), 1),
    (dict(distill_losses=TEMPERATURE, roi_head=dict(lr_mult=10)), 1),
    (dict(temperature=TEMPERATURE), 0),
    # the adapters have the student's rate, though a part of it has a larger one
    (dict(temperature=TEMPERATURE, roi_head=dict(lr_mult=10)), 0),
    (dict(roi_head=dict(lr_mult=10)), 0),
    # a multiplier of their own
    (dict(temperature=TEMPERATURE, loss_fitnet=dict(lr_mult=0.5)), 0),
    # one with which a temperature moves under Adam
    (dict(distill_losses=dict(lr_mult=100)), 0)], ids=str)
def test_adapters_that_a_multiplier_for_temperatures_slows(keys, expected):
    each, said = runner(keys)
    warn_of_slow_adapters(each)
    assert len([line for line in said if line.startswith('What loss_fitnet learns')]) == expected


@pytest.mark.parametrize('keys, scale, expected', [
    ({}, 1, 0.02), (dict(roi_head=dict(lr_mult=10)), 1, 0.02),
    (dict(backbone=dict(lr_mult=0.1)), 1, 0.02), ({}, 0.25, 0.005)], ids=str)
def test_the_usual_rate(keys, scale, expected):
    each, _ = runner(dict(temperature=TEMPERATURE, **keys), scale=scale)
    assert usual_rate(each) == pytest.approx(expected)


def test_a_schedule_that_gives_all_parameters_one_peak():
    each, said = runner(dict(temperature=TEMPERATURE), schedule=lambda wrapper: OneCycleLR(
        wrapper, eta_max=0.04, total_steps=100))
    warn_of_schedules(each)
    assert said[0].startswith('OneCycleLR: the learning rate of the temperature of loss_ctkd rises '
                              'to eta_max=0.04, which is one number for all')
    assert len(said) == 1 and usual_rate(each) == 0.04
    for schedule in (
            lambda wrapper: CosineAnnealingLR(wrapper, T_max=100),
            lambda wrapper: OneCycleLR(wrapper, total_steps=100, eta_max=[
                2 * group['lr'] for group in wrapper.param_groups])):
        each, said = runner(dict(temperature=TEMPERATURE), schedule=schedule)
        warn_of_schedules(each)
        assert not said


@pytest.mark.parametrize('peak, expected', [(1e-2, 0), (1e-3, 1)])
def test_how_far_adam_comes_is_told_by_the_peak_of_a_cycle(peak, expected):
    """Which begins at 1 / 25 of it: 100 steps of 0.01 are enough for theta."""
    each, said = runner(optimizer=dict(type='AdamW', lr=peak), schedule=lambda wrapper: OneCycleLR(
        wrapper, eta_max=peak, total_steps=100))
    warn_of_short_steps(each)
    assert len([line for line in said if f'learning rate, {peak:.1g},' in line]) == expected
