"""Logs the gradients of learned temperatures, and warns of unsuitable optimizer settings."""
import math
from typing import Dict, Iterator, Tuple

import torch
from mmengine.dist import all_reduce
from mmengine.runner import Runner
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from ..log_names import THETA_GRAD, log_name, short_name
from ..models.losses import DistillLoss, FeatureLoss
from ..models.temperatures import LearnedTemperature
from .unwrapped import detector_of


def learned_temperatures(model: nn.Module) -> Iterator[Tuple[str, LearnedTemperature]]:
    """Yield the name of each loss (``ctkd`` for ``loss_ctkd``) and its learned temperature."""
    for name, module in detector_of(model).named_modules():
        if isinstance(module, LearnedTemperature):
            yield short_name(name.split('.')[-2:][0]), module


def log_gradients(runner: Runner) -> None:
    """Log each temperature's gradient whenever the optimizer steps.

    It is read at the beginning of the step, so it is the gradient that the
    optimizer uses: all-reduced, accumulated, clipped, without the AMP loss
    scale.
    """
    sharded = isinstance(runner.model, FullyShardedDataParallel)

    def record(optimizer, args, kwargs) -> None:
        # a fused optimizer takes the AMP loss scale out itself, within the step
        scale = getattr(optimizer, 'grad_scale', None)
        for name, temperature in learned_temperatures(runner.model):
            for key, value in _gradients(temperature, sharded).items():
                value = value / float(scale) if scale is not None else value
                runner.message_hub.update_scalar(f'train/{log_name(name, key)}', value)

    runner.optim_wrapper.optimizer.register_step_pre_hook(record)


def _gradients(temperature: LearnedTemperature, sharded: bool) -> Dict[str, float]:
    """Of a scalar theta the signed gradient, else the norm over all parameters.

    ``sharded``: each rank has a part of them, some have none.
    """
    grads = [p.grad.flatten() for p in temperature.parameters() if p.grad is not None]
    if not grads and not sharded:
        return {}
    grad = torch.cat(grads) if grads else next(temperature.parameters()).new_zeros(0)
    sums = torch.stack([grad.new_tensor(grad.numel()), grad.sum(), grad.square().sum()])
    if sharded:
        all_reduce(sums)
    numel, total, square = sums.tolist()
    return {THETA_GRAD: total if numel == 1 else math.sqrt(square)}


def warn_of_decay(runner: Runner) -> None:
    """Warn if weight decay pulls a learned temperature to the middle of its range."""
    decay = {id(p): group.get('weight_decay', 0)
             for group in runner.optim_wrapper.optimizer.param_groups for p in group['params']}
    for name, temperature in learned_temperatures(runner.model):
        if any(decay.get(id(p), 0) > 0 for p in temperature.parameters()):
            runner.logger.warning(
                f'The temperature of loss_{name} has weight decay, which pulls it to the middle '
                "of its range. Switch it off: optim_wrapper=dict(paramwise_cfg=dict(custom_keys="
                'dict(temperature=dict(decay_mult=0))))')


def usual_rate(runner: Runner) -> float:
    """The student's learning rate at its peak: of its parameters, the largest.

    The optimizer's default is not it, if ``auto_scale_lr`` has scaled the
    groups.
    """
    of_losses = {id(p) for module in runner.model.modules() if isinstance(module, DistillLoss)
                 for p in module.parameters()}
    return max((rate for p, rate in peak_rates(runner).items() if p not in of_losses),
               default=runner.optim_wrapper.optimizer.defaults['lr'])


def peak_rates(runner: Runner) -> Dict[int, float]:
    """Of each parameter, by its id, the learning rate at its peak."""
    return {id(p): group.get('initial_lr', group['lr'])
            for group in runner.optim_wrapper.optimizer.param_groups for p in group['params']}


def warn_of_floor(runner: Runner) -> None:
    """Warn if a schedule's smallest rate, one number for all, is no less than a temperature's."""
    rates, schedulers = peak_rates(runner), runner.param_schedulers
    for scheduler in schedulers if isinstance(schedulers, list) else []:
        floor = getattr(scheduler, 'eta_min', None) or 0
        for name, temperature in learned_temperatures(runner.model):
            rate = max((rates.get(id(p), floor) for p in temperature.parameters()), default=floor)
            if 0 < floor >= rate:
                instead = (f'eta_min_ratio={floor / usual_rate(runner):.2g}'
                           if hasattr(scheduler, 'eta_min_ratio') else 'eta_min=0')
                runner.logger.warning(
                    f'{type(scheduler).__name__}: the learning rate of the temperature of '
                    f'loss_{name} is {rate:.2g} and cannot fall below eta_min={floor:.2g}, which '
                    f'is one number for all parameters. Write {instead} instead')


def warn_of_slow_adapters(runner: Runner) -> None:
    """Warn if a multiplier that is meant for temperatures slows a loss between features."""
    rates, usual = peak_rates(runner), usual_rate(runner)
    for name, module in runner.model.named_modules():
        slow = [p for p in module.parameters() if rates.get(id(p), usual) < usual]
        if isinstance(module, FeatureLoss) and slow:
            runner.logger.warning(
                f'What {name.split(".")[-1]} learns has a smaller learning rate than the student. '
                'If that multiplier is meant for temperatures, give it the key of theirs: '
                'custom_keys=dict(temperature=...) instead of dict(distill_losses=...)')
