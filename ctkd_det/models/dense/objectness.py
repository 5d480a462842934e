"""Families whose score is the product of an objectness and a class."""
from typing import Any, List, Sequence

import torch
from mmdet.models.dense_heads import AutoAssignHead, YOLOXHead
from mmdet.utils import reduce_mean
from torch import Tensor, nn

from ..precision import at_least_float32
from .locations import by_level
from .reader import DenseReader, Targets


class YOLOXReader(DenseReader):
    """Its score is the product of objectness and class, and so are its logits here.

    Every location counts alike in the loss of its objectness.
    """
    kinds = (YOLOXHead, )
    methods = ('loss_by_feat', )
    towers = ('multi_level_cls_convs', 'multi_level_reg_convs')

    @staticmethod
    def logits(outputs: Sequence[Any]) -> List[Tensor]:
        """The logits of the products, of each level."""
        return [joint_logit(*pair) for pair in zip(outputs[0], outputs[2], strict=True)]

    def modules(self) -> List[nn.Module]:
        """Its losses of objectness and class."""
        return [self.head.loss_obj, self.head.loss_cls]

    def targets(self, levels: Sequence[Tensor]) -> Targets:
        """See :meth:`DenseReader.targets`; a location with an object has objectness 1."""
        (_, objectness, _, _), *classes = self.calls
        is_object = objectness[1].reshape(-1) > 0
        labels = torch.full_like(is_object, self.head.num_classes, dtype=torch.long)
        for _, args, _, _ in classes:  # not called without objects
            # (P, C), the IoU in the column of the class
            labels[is_object] = args[1].argmax(1)
        labels = by_level(labels, levels, self.head.num_classes)
        return Targets(labels, torch.ones_like(labels, dtype=torch.float32),
                       reduce_mean(is_object.sum().float()).clamp(min=1))


class AutoAssignReader(DenseReader):
    """Its score is a product as YOLOX's is; it assigns by a learned prior around each object.

    A location belongs to the object whose prior is largest there, and to the
    background outside of all; the sum of the priors is what its loss of
    negatives, which every location has, is divided by.
    """
    kinds = (AutoAssignHead, )
    methods = ('loss_by_feat', 'get_neg_loss_single')
    logits = staticmethod(YOLOXReader.logits)

    def modules(self) -> List[nn.Module]:
        """What computes the priors of the locations around each object."""
        return [self.head.center_prior]

    def targets(self, levels: Sequence[Tensor]) -> Targets:
        """See :meth:`DenseReader.targets`; the labels follow the priors."""
        labels, total = [], levels[0].new_zeros(())
        for _, args, _, (priors, inside) in self.calls:
            priors = priors.detach()
            found = priors.new_full((len(priors), ), self.head.num_classes, dtype=torch.long)
            if priors.size(1):
                found = torch.where(inside.any(1), args[1].labels[
                    priors.masked_fill(~inside, -1).argmax(1)], found)
            labels.append(found)
            total = total + priors.sum()
        labels = by_level(torch.cat(labels), levels, self.head.num_classes)
        return Targets(labels, torch.ones_like(labels, dtype=torch.float32),
                       reduce_mean(total).clamp(min=1))


def joint_logit(a: Tensor, b: Tensor) -> Tensor:
    r"""The logit of a product of two sigmoids, :math:`-\log(e^{-a} + e^{-b} + e^{-a-b})`.

    Args:
        a (Tensor): Logits, (B, C, H, W).
        b (Tensor): Of the same shape, or (B, 1, H, W).

    Returns:
        Tensor: (B, C, H, W), in float32 or wider.
    """
    a, b = torch.broadcast_tensors(at_least_float32(a), at_least_float32(b))
    return -torch.logsumexp(torch.stack([-a, -b, -a - b]), 0)
