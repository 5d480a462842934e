"""How far an optimizer such as Adam can move a temperature."""
import math
from typing import Union

from mmengine.runner import Runner
from torch import nn, optim

from ..models.temperatures import LearnedTemperature
from .learning_rates import peak_rates, usual_rate
from .temperature_log import learned_temperatures

# theta from tau = 1 to 1.5 within (0.5, 2), about as far as SGD takes it with the shipped lr_mult
REACH = 2 * math.log(2)
# a smaller movement of theta is too small to matter: tau from 1 to 1.17
_TOO_SHORT = 0.5
_DEFAULT_CONSTRUCTOR = 'DefaultOptimWrapperConstructor'


def is_adaptive(optimizer: Union[optim.Optimizer, dict]) -> bool:
    """Whether an optimizer divides a gradient by its usual size, as Adam does.

    Args:
        optimizer (Optimizer | dict): One, or its arguments by name.
    """
    arguments = optimizer if isinstance(optimizer, dict) else optimizer.defaults
    return 'betas' in arguments


def lr_mult_for(lr: float, steps: int) -> float:
    """Multiplier with which theta can move by :data:`REACH` in a training.

    Adam moves a parameter by about its learning rate in each step, whatever the
    size of the loss is, as long as the gradient keeps its sign.

    Args:
        lr (float): The optimizer's, at its peak.
        steps (int): Its steps in the whole training.
    """
    return float(f'{REACH / (lr * steps):.2g}')


def warn_of_short_steps(runner: Runner) -> None:
    """Warn, before the first step, if the optimizer cannot move a temperature in this training."""
    optimizer = runner.optim_wrapper.optimizer
    if not is_adaptive(optimizer):
        return
    rates = peak_rates(runner)
    steps = runner.max_iters // runner.optim_wrapper._accumulative_counts
    constructor = (runner.cfg.get('optim_wrapper') or {}).get('constructor', _DEFAULT_CONSTRUCTOR)
    for name, temperature in learned_temperatures(runner.model):
        theta = getattr(temperature, 'theta', None)
        lr = rates.get(id(theta))
        if lr is None or steps < 1:
            continue
        if lr * steps < _TOO_SHORT:
            runner.logger.warning(
                f'The temperature of loss_{name} can hardly move: {type(optimizer).__name__} takes '
                f'theta by about its learning rate, {lr:.1g}, in each step, whatever the size of '
                f'the loss is. In {steps} steps tau gets {_way(temperature, theta, lr * steps)}. '
                'lr_mult=0.05 is made for SGD; take '
                f'{lr_mult_for(usual_rate(runner), steps):g}: optim_wrapper=dict('
                'paramwise_cfg=dict(custom_keys=dict(temperature=dict(lr_mult=..., decay_mult=0))))'
                + ('' if constructor == _DEFAULT_CONSTRUCTOR else
                   f'. {constructor} must heed custom_keys for that; mmdet\'s '
                   'LearningRateDecayOptimizerConstructor does not'))


def _way(temperature: LearnedTemperature, theta: nn.Parameter, reach: float) -> str:
    start, end = (temperature.bounds.tau(theta.detach().mean() + x).item() for x in (0, reach))
    return f'from {start:.3g} to about {end:.5g}'
