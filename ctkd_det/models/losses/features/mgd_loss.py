"""Masked generative distillation."""
from typing import Any, List, Optional, Sequence, Union

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..draws import Draws
from .adapters import linear_adapter, need_widths
from .base import FeatureLoss
from .reductions import mean_all


@MODELS.register_module()
class MGDLoss(FeatureLoss):
    r"""MGD: the student generates the teacher's map from a masked one of its own.

    .. math::
        L = \sum_l \frac1B \sum_{b, c, i} (t - G(M \cdot r(s)))^2, \quad
        G = W_2 \, \mathrm{ReLU}(W_1 \cdot)

    M is 0 at a share ``mask_ratio`` of the positions, the same for all
    channels; W_1 and W_2 are 3x3 convolutions with bias at the teacher's width,
    and r is linear where the widths differ. The sum is over **all** positions,
    masked or not, and over levels; so it grows with the image, and a weight
    means nothing at another size. ``reduction='mean'`` is mean(all) instead.

    Source: "Masked Generative Distillation" (ECCV 2022), eq. 2 to 5. Published
    weights, for 800 x 1333 images: 5e-7 with a ratio of 0.45 on P2 to P5 for
    two-stage detectors, 2e-5 with 0.65 on five levels for single-stage ones,
    both with gradients clipped at 35. It costs half an R50-FPN Faster R-CNN
    more.

    Args:
        mask_ratio (float): Share of the masked positions, from 0 to 1.
            Defaults to 0.45.
        reduction (str): 'sum', divided by the images, or 'mean'. Defaults to
            'sum'.
        **kwargs: See :class:`FeatureLoss`.
    """

    def __init__(self, *args: Any, mask_ratio: float = 0.45, reduction: str = 'sum',
                 **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not 0 <= mask_ratio <= 1:
            raise ValueError(f'MGDLoss: mask_ratio must be from 0 to 1, got {mask_ratio}')
        if reduction not in ('sum', 'mean'):
            raise ValueError(f"MGDLoss: reduction must be 'sum' or 'mean', got {reduction!r}")
        self.mask_ratio, self.reduction = mask_ratio, reduction
        self.draws = Draws()

    def build_adapter(self, student: Optional[int], teacher: Optional[int]) -> nn.Module:
        """Mask and generator of a level."""
        return _MaskedGenerator(student, teacher)

    def values(self, s: List[Tensor], t: List[Tensor], first: int,
               mask: Union[Tensor, Sequence[Tensor], None] = None) -> List[Tensor]:
        """The loss of each level.

        Args:
            s (Sequence[Tensor]): Of each level (B, C, H, W), the student's.
            t (Sequence[Tensor]): The teacher's, of the same sizes.
            first (int): The first level's number.
            mask (Sequence[Tensor] | Tensor, optional): Of each level (B, 1,
                H, W) at the teacher's size, 0 where the student's map is
                hidden. Defaults to None, drawn.
        """
        if mask is None:
            mask = [self.draws((len(x), 1, *x.shape[2:]), x.device) >= self.mask_ratio for x in t]
        masks = [mask] if isinstance(mask, Tensor) else mask
        return [self.compare(i, *maps) for i, maps in enumerate(
            zip(s, t, masks, strict=True), first)]

    def compare(self, i: int, s: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        """The loss of a level or stage, see the class."""
        square = (t - self.adapt(i, s, mask)).square()
        return mean_all(square) if self.reduction == 'mean' else square.sum() / max(len(t), 1)


class _MaskedGenerator(nn.Module):
    """r, M and G of one level."""

    def __init__(self, student: Optional[int], teacher: Optional[int]) -> None:
        super().__init__()
        need_widths(student, teacher)
        self.align = linear_adapter(student, teacher, 'neck')
        self.generate = nn.Sequential(
            nn.Conv2d(teacher, teacher, 3, padding=1), nn.ReLU(),
            nn.Conv2d(teacher, teacher, 3, padding=1))

    def forward(self, s: Tensor, mask: Tensor) -> Tensor:
        return self.generate(torch.where(mask.bool(), self.align(s), 0))
