"""How much each RoI counts."""
from typing import Union

import torch
from torch import Tensor

# below any honest sum of weights; keeps 0 / 0 at 0
TINY = 1e-6


def balance_foreground(weight: Tensor, foreground: Tensor, share: float) -> Tensor:
    """Rescale weights so that the foreground has ``share`` of their sum.

    A weighted mean with the result is ``share * mean(foreground) + (1 -
    share) * mean(background)``; a group without RoIs contributes 0.

    Args:
        weight (Tensor): (N,).
        foreground (Tensor): (N,), bool.
        share (float): From 0 to 1.

    Returns:
        Tensor: (N,).
    """
    total = weight.sum()
    groups = ((weight * foreground, share), (weight * ~foreground, 1 - share))
    return sum(group * part * total / group.sum().clamp(min=TINY) for group, part in groups)


def weighted_mean(loss: Tensor, weight: Tensor, avg_factor: Union[Tensor, float]) -> Tensor:
    """sum(weight * loss) / avg_factor, a scalar; 0 with a graph if there is nothing to sum."""
    return (weight * loss).sum() / torch.as_tensor(avg_factor).to(loss).clamp(min=TINY)
