"""How much each RoI counts."""
from typing import Union

import torch
from mmdet.utils import reduce_mean
from torch import Tensor

# below any honest sum of weights; keeps 0 / 0 at 0
TINY = 1e-6


def balance_foreground(weight: Tensor, foreground: Tensor, share: float) -> Tensor:
    """Rescale weights so that the foreground has ``share`` of their sum.

    A weighted mean with the result is ``share * mean(foreground) + (1 -
    share) * mean(background)``; a group without RoIs contributes 0. Trained on
    several ranks, the groups are those of all ranks together.

    Args:
        weight (Tensor): (N,).
        foreground (Tensor): (N,), bool.
        share (float): From 0 to 1.

    Returns:
        Tensor: (N,).
    """
    groups = weight * foreground, weight * ~foreground
    sums = mean_over_ranks(torch.stack([x.sum() for x in (weight, *groups)]))
    return sum(group * part * sums[0] / group_sum.clamp(min=TINY)
               for group, part, group_sum in zip(groups, (share, 1 - share), sums[1:],
                                                 strict=True))


def weighted_mean(loss: Tensor, weight: Tensor, avg_factor: Union[Tensor, float]) -> Tensor:
    """sum(weight * loss) / avg_factor, a scalar; 0 with a graph if there is nothing to sum.

    ``avg_factor`` is averaged over the ranks first: data-parallel training
    averages the gradients, and the average of the ranks' sums over this is the
    mean of all their RoIs, however unequally the RoIs are spread.

    Raises:
        ValueError: if there is neither one weight for each loss nor one for all.
    """
    if weight.dim() and weight.shape != loss.shape:
        raise ValueError(f'there are weights of shape {tuple(weight.shape)} for losses of shape '
                         f'{tuple(loss.shape)}: give one for each')
    avg_factor = mean_over_ranks(torch.as_tensor(avg_factor).to(loss))
    return (weight * loss).sum() / avg_factor.clamp(min=TINY)


def mean_over_ranks(x: Tensor) -> Tensor:
    """``x`` itself without distributed training. Every rank must come here."""
    return reduce_mean(x.detach())
