"""What each family of dense heads says of every location: its logits, and what it was assigned.

A location is one anchor or point of one image. All of a batch, N, stand in one
order: level by level, the finest first; of a level image by image; of an image
row by row; at a position anchor by anchor.
"""
from typing import Any, List, NamedTuple, Sequence, Tuple, Type, Union

import torch
from mmdet.models.dense_heads import (
    AnchorHead,
    ATSSHead,
    AutoAssignHead,
    DDODHead,
    FCOSHead,
    GFLHead,
    PAAHead,
    RTMDetHead,
    RTMDetInsHead,
    TOODHead,
    VFNetHead,
    YOLOFHead,
    YOLOXHead,
)
from mmdet.utils import reduce_mean
from torch import Tensor, nn


class Targets(NamedTuple):
    """What the student's head was assigned.

    Attributes:
        labels: (N,), the class of the object, C for the background.
        weights: (N,), how much its classification loss counts each location.
        avg_factor: What that loss is divided by.
    """
    labels: Tensor
    weights: Tensor
    avg_factor: Union[Tensor, float]


class DenseReader:
    """Reads one step of a head; this one, of heads that are as RetinaHead is.

    Their ``forward`` gives the logits of each level first, and they hand the
    logits of every location, in order, with labels, weights and divisor, to
    ``loss_cls``: level by level or at once. Subclasses say what is different
    in a family.

    Args:
        head (nn.Module): The head, before the step.
    """
    # heads of which a family is, and the methods that make them so
    kinds: Tuple[type, ...] = (AnchorHead, FCOSHead, ATSSHead, GFLHead, YOLOFHead)
    methods: Tuple[str, ...] = ('loss_by_feat', 'loss_by_feat_single')

    def __init__(self, head: nn.Module) -> None:
        self.head = head
        self.calls: List[Tuple[nn.Module, tuple, dict, Any]] = []

    @classmethod
    def reads(cls, head: nn.Module) -> bool:
        """Whether a head computes its losses as one of :attr:`kinds` does."""
        return any(all(getattr(type(head), name, None) is getattr(kind, name, None)
                       for name in cls.methods) for kind in cls.kinds)

    @staticmethod
    def logits(outputs: Sequence[Any]) -> List[Tensor]:
        """The logits of each level, (B, A * C, H, W), from what ``forward`` gives."""
        return list(outputs[0])

    def modules(self) -> List[nn.Module]:
        """The modules whose calls say what was assigned."""
        return [self.head.loss_cls]

    def hear(self, module: nn.Module, args: tuple, kwargs: dict, output: Any) -> None:
        """A forward hook of :meth:`modules`."""
        # PAA's assigner asks for the unreduced losses of candidates
        if kwargs.get('reduction_override') is None:
            self.calls.append((module, args, kwargs, output))

    def targets(self, levels: Sequence[Tensor]) -> Targets:
        """What was assigned in this step, from the logits of its levels."""
        labels, weights = zip(*(labels_and_weights(args, kwargs)
                                for _, args, kwargs, _ in self.calls), strict=True)
        return Targets(torch.cat(labels), torch.cat(weights), self.avg_factor())

    def avg_factor(self) -> Union[Tensor, float]:
        """What the classification loss was divided by."""
        return self.calls[-1][2]['avg_factor']


class _AlignedReader(DenseReader):
    """Heads that divide by the sum of the qualities of what they assigned, after all levels."""
    kinds = (RTMDetHead, RTMDetInsHead)

    def avg_factor(self) -> Tensor:
        qualities = [_qualities(args[1], self.head.num_classes) for _, args, _, _ in self.calls]
        return reduce_mean(sum(qualities)).clamp(min=1)


class _TOODReader(_AlignedReader):
    """Its ``forward`` gives probabilities, the geometric mean of two; it has a loss to begin with.
    """
    kinds = (TOODHead, )
    # nearer to 0 or 1 float32 cannot say how sure the head is
    eps = 1e-6

    @staticmethod
    def logits(outputs: Sequence[Any]) -> List[Tensor]:
        return [torch.logit(_wide(p), eps=_TOODReader.eps) for p in outputs[0]]

    def modules(self) -> List[nn.Module]:
        return [self.head.loss_cls, self.head.initial_loss_cls]


class _DDODReader(DenseReader):
    """It multiplies the loss of a level by 1 to 2, the more the fewer objects that level has had.
    """
    kinds = (DDODHead, )
    methods = ('loss_by_feat', 'loss_cls_by_feat_single', 'calc_reweight_factor')

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        self.counts = list(head.cls_num_pos_samples_per_level)

    def targets(self, levels: Sequence[Tensor]) -> Targets:
        found = super().targets(levels)
        sizes = [x.numel() // self.head.cls_out_channels for x in levels]
        counts = [count + int((labels < self.head.num_classes).sum()) for count, labels in zip(
            self.counts, found.labels.split(sizes), strict=True)]
        least, most = min(counts), max(counts)
        weights = [weights * (2 - (count - least) / (most - least + 1e-10)) for count, weights in
                   zip(counts, found.weights.split(sizes), strict=True)]
        return found._replace(weights=torch.cat(weights))


class _VFNetReader(DenseReader):
    """Its varifocal loss gets, in place of labels, IoUs (N, C), 0 of all that is no object's."""
    kinds = (VFNetHead, )
    methods = ('loss_by_feat', )

    def targets(self, levels: Sequence[Tensor]) -> Targets:
        (_, args, kwargs, _), = self.calls
        if args[1].dim() == 1:  # use_vfl=False
            return super().targets(levels)
        labels = _labels_of(args[1])
        return Targets(labels, torch.ones_like(args[1][:, 0]), self.avg_factor())


class _PAAReader(DenseReader):
    """It hands over image by image, not level by level."""
    kinds = (PAAHead, )
    methods = ('loss_by_feat', 'get_pos_loss')

    def targets(self, levels: Sequence[Tensor]) -> Targets:
        found = super().targets(levels)
        labels, weights = (by_level(x, levels, self.head.cls_out_channels)
                           for x in (found.labels, found.weights))
        return Targets(labels, weights, found.avg_factor)


class _YOLOXReader(DenseReader):
    """Its score is the product of objectness and class, and so are its logits here.

    Every location counts alike in the loss of its objectness.
    """
    kinds = (YOLOXHead, )
    methods = ('loss_by_feat', )

    @staticmethod
    def logits(outputs: Sequence[Any]) -> List[Tensor]:
        return [joint_logit(*pair) for pair in zip(outputs[0], outputs[2], strict=True)]

    def modules(self) -> List[nn.Module]:
        return [self.head.loss_obj, self.head.loss_cls]

    def targets(self, levels: Sequence[Tensor]) -> Targets:
        (_, objectness, _, _), *classes = self.calls
        is_object = objectness[1].reshape(-1) > 0
        labels = torch.full_like(is_object, self.head.num_classes, dtype=torch.long)
        for _, args, _, _ in classes:  # not called without objects
            # (P, C), the IoU in the column of the class
            labels[is_object] = args[1].argmax(1)
        labels = by_level(labels, levels, self.head.num_classes)
        return Targets(labels, torch.ones_like(labels, dtype=torch.float32),
                       reduce_mean(is_object.sum().float()).clamp(min=1))


class _AutoAssignReader(DenseReader):
    """Its score is a product as YOLOX's is; it assigns by a learned prior around each object.

    A location belongs to the object whose prior is largest there, and to the
    background outside of all; the sum of the priors is what its loss of
    negatives, which every location has, is divided by.
    """
    kinds = (AutoAssignHead, )
    methods = ('loss_by_feat', 'get_neg_loss_single')
    logits = staticmethod(_YOLOXReader.logits)

    def modules(self) -> List[nn.Module]:
        return [self.head.center_prior]

    def targets(self, levels: Sequence[Tensor]) -> Targets:
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


READERS: Tuple[Type[DenseReader], ...] = (
    DenseReader, _AlignedReader, _TOODReader, _DDODReader, _VFNetReader, _PAAReader, _YOLOXReader,
    _AutoAssignReader)


def flat(levels: Sequence[Tensor], width: int) -> Tensor:
    """(B, A * width, H, W) of each level as (N, width)."""
    return torch.cat([x.permute(0, 2, 3, 1).reshape(-1, width) for x in levels])


def by_level(x: Tensor, levels: Sequence[Tensor], width: int) -> Tensor:
    """(N,) that stands image by image, put level by level; ``levels`` as in :func:`flat`."""
    sizes = [level[0].numel() // width for level in levels]
    return torch.cat([part.reshape(-1) for part in x.view(len(levels[0]), -1).split(sizes, 1)])


def joint_logit(a: Tensor, b: Tensor) -> Tensor:
    r"""The logit of a product of two sigmoids, :math:`-\log(e^{-a} + e^{-b} + e^{-a-b})`.

    Args:
        a (Tensor): Logits, (B, C, H, W).
        b (Tensor): Of the same shape, or (B, 1, H, W).

    Returns:
        Tensor: (B, C, H, W), in float32 or wider.
    """
    a, b = torch.broadcast_tensors(_wide(a), _wide(b))
    return -torch.logsumexp(torch.stack([-a, -b, -a - b]), 0)


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype.itemsize < 4 else x


def labels_and_weights(args: tuple, kwargs: dict) -> Tuple[Tensor, Tensor]:
    """What a classification loss was given beside the logits, (N,) each."""
    logits, labels = args[:2]
    if isinstance(labels, tuple):  # labels and the quality of each
        labels = labels[0]
    weight = args[2] if len(args) > 2 else kwargs.get('weight')
    if weight is None:  # FCOS: every location alike
        weight = torch.ones_like(labels, dtype=logits.dtype)
    return labels, weight


def _qualities(targets: Union[Tensor, Tuple[Tensor, Tensor]], num_classes: int) -> Tensor:
    """Sum of the qualities; TOOD's first epochs have none, there each object counts 1."""
    if isinstance(targets, tuple):
        return targets[1].sum()
    return (targets < num_classes).sum().float()


def _labels_of(ious: Tensor) -> Tensor:
    """(N,) from (N, C) that is above 0 in the column of the object's class only."""
    return torch.where(ious.amax(1) > 0, ious.argmax(1), ious.size(1))
