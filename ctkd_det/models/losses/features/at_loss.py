"""Attention transfer: where features are large."""
import math
from typing import Any

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from .base import FeatureLoss
from .reductions import mean_all


@MODELS.register_module()
class ATLoss(FeatureLoss):
    r"""AT: squared difference of the maps of activity.

    .. math::
        Q = \mathrm{mean}_c |a_c|^p, \quad
        L = \sum_l \mathrm{mean} (Q_s / \|Q_s\|_2 - Q_t / \|Q_t\|_2)^2

    with the norm over the positions of an image. ``reduction='mean'`` is
    mean(all) over images and positions, so a level with fewer positions counts
    more: P5 64 times P2. ``'batch'`` is the sum over the positions and the
    mean over the images. Channels vanish, so there is no adapter. A sum over
    levels.

    Source: "Paying More Attention to Attention" (ICLR 2017), eq. 2 with p = 2;
    its code, followed here, squares the difference. Published weight: 1000
    with 'mean', on CIFAR and ImageNet; none with a detector. As Q has length
    1, a weight for 'batch' is one for 'mean' divided by a level's positions.

    Args:
        p (float): Power of the magnitudes, at least 1. Defaults to 2.
        reduction (str): 'mean' or 'batch'. Defaults to 'mean'.
        **kwargs: See :class:`FeatureLoss`; the widths are not needed.
    """

    any_width = True

    def __init__(self, *args: Any, p: float = 2, reduction: str = 'mean', **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not 1 <= p < math.inf:
            raise ValueError(f'ATLoss: p must be a finite number >= 1, got {p}')
        if reduction not in ('mean', 'batch'):
            raise ValueError(f"ATLoss: reduction must be 'mean' or 'batch', got {reduction!r}")
        self.p, self.reduction = p, reduction

    def compare(self, i: int, s: Tensor, t: Tensor) -> Tensor:
        """The loss of a level or stage, see the class."""
        square = (self._attention(s) - self._attention(t)).square()
        return mean_all(square) if self.reduction == 'mean' else square.sum() / max(len(s), 1)

    def _attention(self, x: Tensor) -> Tensor:
        """(B, H * W), each row of length 1."""
        return F.normalize(x.abs().pow(self.p).mean(1).flatten(1), dim=1)
