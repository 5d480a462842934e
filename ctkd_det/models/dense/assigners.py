"""Families that are as RetinaHead is but for what they assign, or how they hand it over."""
from typing import Any, List, Sequence, Tuple, Union

import torch
from mmdet.models.dense_heads import (
    DDODHead,
    PAAHead,
    RTMDetHead,
    RTMDetInsHead,
    TOODHead,
    VFNetHead,
)
from mmdet.utils import reduce_mean
from torch import Tensor, nn

from ..precision import at_least_float32
from .locations import by_level
from .reader import DenseReader, Targets


class AlignedReader(DenseReader):
    """Heads that divide by the sum of the qualities of what they assigned, after all levels."""
    kinds = (RTMDetHead, RTMDetInsHead)

    def avg_factor(self) -> Tensor:
        """The sum of the qualities, at least 1."""
        qualities = [_qualities(args[1], self.head.num_classes) for _, args, _, _ in self.calls]
        return reduce_mean(sum(qualities)).clamp(min=1)


class TOODReader(AlignedReader):
    """Its ``forward`` gives probabilities, the geometric mean of two.

    In the first epochs it has another loss.
    """
    kinds = (TOODHead, )
    towers = ()
    # nearer to 0 or 1 float32 cannot say how sure the head is
    eps = 1e-6

    @staticmethod
    def logits(outputs: Sequence[Any]) -> List[Tensor]:
        """The logits of the probabilities of each level."""
        return [torch.logit(at_least_float32(p), eps=TOODReader.eps) for p in outputs[0]]

    def modules(self) -> List[nn.Module]:
        """Its losses: one of the first epochs, one of the others."""
        return [self.head.loss_cls, self.head.initial_loss_cls]


class DDODReader(DenseReader):
    """It multiplies the loss of a level by 1 to 2, the more the fewer objects that level has had.
    """
    kinds = (DDODHead, )
    methods = ('loss_by_feat', 'loss_cls_by_feat_single', 'calc_reweight_factor')

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        self.counts = list(head.cls_num_pos_samples_per_level)

    def targets(self, levels: Sequence[Tensor]) -> Targets:
        """See :meth:`DenseReader.targets`; the weights include those of the levels."""
        found = super().targets(levels)
        sizes = [x.numel() // self.head.cls_out_channels for x in levels]
        counts = [count + int((labels < self.head.num_classes).sum()) for count, labels in zip(
            self.counts, found.labels.split(sizes), strict=True)]
        least, most = min(counts), max(counts)
        weights = [weights * (2 - (count - least) / (most - least + 1e-10)) for count, weights in
                   zip(counts, found.weights.split(sizes), strict=True)]
        return found._replace(weights=torch.cat(weights))


class VFNetReader(DenseReader):
    """Its varifocal loss gets, in place of labels, IoUs (N, C), 0 of all that is no object's."""
    kinds = (VFNetHead, )
    methods = ('loss_by_feat', )

    def targets(self, levels: Sequence[Tensor]) -> Targets:
        """See :meth:`DenseReader.targets`; every location counts alike."""
        (_, (_, ious, *_), _, _), = self.calls
        if ious.dim() == 1:  # use_vfl=False
            return super().targets(levels)
        # above 0 in the column of the object's class only
        labels = torch.where(ious.amax(1) > 0, ious.argmax(1), ious.size(1))
        return Targets(labels, torch.ones_like(ious[:, 0]), self.avg_factor())


class PAAReader(DenseReader):
    """It hands over image by image, not level by level."""
    kinds = (PAAHead, )
    methods = ('loss_by_feat', 'get_pos_loss')

    def targets(self, levels: Sequence[Tensor]) -> Targets:
        """See :meth:`DenseReader.targets`; put level by level."""
        found = super().targets(levels)
        labels, weights = (by_level(x, levels, self.head.cls_out_channels)
                           for x in (found.labels, found.weights))
        return Targets(labels, weights, found.avg_factor)


def _qualities(targets: Union[Tensor, Tuple[Tensor, Tensor]], num_classes: int) -> Tensor:
    """Sum of the qualities; TOOD's first epochs have none, there each object counts 1."""
    if isinstance(targets, tuple):
        return targets[1].sum()
    return (targets < num_classes).sum().float()
