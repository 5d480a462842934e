"""Knowledge review: each level of the student learns together with the coarser ones."""
from typing import Any, List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn

from ...precision import at_least_float32
from .adapters import SafeBatchNorm2d, need_widths
from .base import FeatureLoss
from .reductions import mean_all


@MODELS.register_module()
class ReviewKDLoss(FeatureLoss):
    r"""ReviewKD: fused levels, compared at several resolutions.

    From the coarsest level to the finest, the student's map goes to
    ``mid_channels``, is fused with what came from the coarser level by a
    learned attention, and a 3x3 convolution brings it to the teacher's width;
    with f the result, a level's loss is

    .. math::
        \frac{\mathrm{MSE}(f, t) + \sum_k 2^{-k} \mathrm{MSE}(pool_k f, pool_k t)}
        {1 + \sum_k 2^{-k}}

    mean(all); ``sizes`` are those of the square average pools. A size not
    below the map's height is left out, without using up a factor. A sum over
    levels.

    Source: "Distilling Knowledge via Knowledge Review" (CVPR 2021), eq. 5 to 8,
    in the form of its code for detection. Published weights: 1.2 for R18 <-
    R101, 1.0 for R50 <- R101 and RetinaNet, 2.0 for MobileNetV2 <- R50, P2 to
    P6, 180k iterations with batches of 8. It costs a quarter of an R50-FPN
    Faster R-CNN more.

    Args:
        mid_channels (int): Width at which levels are fused. Defaults to 256.
        sizes (Sequence[int]): Sides of the pooled maps. Defaults to (4, 2, 1).
        **kwargs: See :class:`FeatureLoss`.

    Raises:
        ValueError: if ``levels`` are not in ascending order; see also
            :class:`FeatureLoss`.
    """

    def __init__(self, *args: Any, mid_channels: int = 256, sizes: Sequence[int] = (4, 2, 1),
                 **kwargs: Any) -> None:
        # before the adapters are built
        self.mid_channels, self.sizes = mid_channels, tuple(sizes)
        super().__init__(*args, **kwargs)
        if self.levels is not None and self.levels != tuple(sorted(self.levels)):
            raise ValueError(f'{type(self).__name__}: levels must go from the finest to the '
                             f'coarsest, because each is fused with the next: {self.levels}')
        # nothing comes to the coarsest level: it would have weights that no step uses
        self.adapters[-1].attention = None

    def build_adapter(self, student: Optional[int], teacher: Optional[int]) -> nn.Module:
        """What fuses a level with the coarser one."""
        need_widths(student, teacher)
        return _Fusion(student, self.mid_channels, teacher)

    def values(self, s: List[Tensor], t: List[Tensor], first: int) -> List[Tensor]:
        """The loss of each level, computed from the coarsest to the finest."""
        values, residue = [], None
        for adapter, a, b in zip(reversed(self.adapters), reversed(s), reversed(t), strict=True):
            fused, residue = adapter(a.to(adapter.enter[0].weight.dtype), residue)
            values.append(self._hierarchical(at_least_float32(fused), b))
        return values[::-1]

    def _hierarchical(self, f: Tensor, t: Tensor) -> Tensor:
        loss, factor, total = mean_all((f - t).square()), 1.0, 1.0
        for size in self.sizes:
            if size >= t.size(2):
                continue
            factor /= 2
            total += factor
            pooled_f, pooled_t = (F.adaptive_avg_pool2d(x, size) for x in (f, t))
            loss = loss + factor * mean_all((pooled_f - pooled_t).square())
        return loss / total


class _Fusion(nn.Module):
    """One level: fused with the residue of the coarser one, and at the teacher's width."""

    def __init__(self, student: int, mid: int, teacher: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(student, mid, 1, bias=False), SafeBatchNorm2d(mid))
        self.attention: Optional[nn.Module] = nn.Conv2d(2 * mid, 2, 1)
        self.leave = nn.Sequential(
            nn.Conv2d(mid, teacher, 3, padding=1, bias=False), SafeBatchNorm2d(teacher))
        for part in (self.enter, self.leave):
            nn.init.kaiming_uniform_(part[0].weight, a=1)

    def forward(self, x: Tensor, residue: Optional[Tensor]) -> Tuple[Tensor, Tensor]:
        x = self.enter(x)
        if residue is not None:
            residue = F.interpolate(residue, size=x.shape[2:], mode='nearest')
            own, other = self.attention(torch.cat([x, residue], 1)).sigmoid().split(1, dim=1)
            x = own * x + other * residue
        return self.leave(x), x
