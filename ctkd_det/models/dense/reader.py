"""What a dense head says of every location: its logits, and what it was assigned."""
from typing import Any, List, NamedTuple, Sequence, Tuple, Union

import torch
from mmdet.models.dense_heads import AnchorHead, ATSSHead, FCOSHead, GFLHead, YOLOFHead
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
    # where their convolutions are, those for classes first; none if both share them
    towers: Tuple[str, ...] = ('cls_convs', 'reg_convs')

    def __init__(self, head: nn.Module) -> None:
        self.head = head
        self.calls: List[Tuple[nn.Module, tuple, dict, Any]] = []

    @classmethod
    def reads(cls, head: nn.Module) -> bool:
        """Whether a head computes its losses as one of :attr:`kinds` does."""
        return any(has_methods_of(kind, head, cls.methods) for kind in cls.kinds)

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


def has_methods_of(kind: type, head: nn.Module, names: Sequence[str]) -> bool:
    """Whether a head has the methods of these names as a class has them, or lacks them as it does.
    """
    return all(getattr(type(head), name, None) is getattr(kind, name, None) for name in names)


def labels_and_weights(args: tuple, kwargs: dict) -> Tuple[Tensor, Tensor]:
    """What a classification loss was given beside the logits, (N,) each."""
    logits, labels = args[:2]
    if isinstance(labels, tuple):  # labels and the quality of each
        labels = labels[0]
    weight = args[2] if len(args) > 2 else kwargs.get('weight')
    if weight is None:  # FCOS: every location alike
        weight = torch.ones_like(labels, dtype=logits.dtype)
    return labels, weight
