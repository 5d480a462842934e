"""Logs the gradients of learned temperatures."""
import math
from typing import Dict, Iterator, Tuple

import torch
from mmengine.dist import all_reduce
from mmengine.runner import Runner
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from ..log_names import THETA_GRAD, log_name, short_name
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
