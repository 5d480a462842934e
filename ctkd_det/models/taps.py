"""Records what the student's heads compute while its loss is computed.

Forward hooks on modules that every such head has; nothing is patched, and the
hooks exist only inside the ``with`` block.
"""
from dataclasses import dataclass, field
from typing import List, Optional

import torch
from torch import Tensor, nn

from .heads import RoIStage, roi_stages


@dataclass
class Logits:
    """What a classification loss received for N RoIs or anchors.

    ``cls_score`` is (N, C+1), or (N, C) of a sigmoid head; ``labels`` and
    ``label_weights`` are (N,), after any reweighting (PISA). With no RoI at
    all mmdet does not compute a classification loss, and they stay None.
    """
    cls_score: Optional[Tensor] = None
    labels: Optional[Tensor] = None
    label_weights: Optional[Tensor] = None
    avg_factor: Optional[float] = None


@dataclass
class RoILogits(Logits):
    """Of one RoI stage; ``rois`` is (N, 5) with the image's index first."""
    rois: Optional[Tensor] = None


@dataclass
class DenseLogits(Logits):
    """Of all locations of a single-stage detector, the finest level first.

    ``level_shapes`` are those of the head's outputs, (B, A * C, H, W) with A
    anchors at each location; N is the sum of B * H * W * A over the levels.
    """
    level_shapes: List[torch.Size] = field(default_factory=list)


class RoITap:
    """Context manager that listens to every stage of a RoI head.

    Args:
        roi_head (nn.Module): See :func:`roi_stages`.

    Raises:
        TypeError: if the head cannot be distilled.

    Example:
        >>> with RoITap(detector.roi_head) as records:  # one for each stage
        >>>     losses = detector.loss(inputs, samples)
        >>> records[0].cls_score
    """

    def __init__(self, roi_head: nn.Module) -> None:
        self.stages = roi_stages(roi_head)

    def __enter__(self) -> List[RoILogits]:
        listeners = [_StageListener(stage) for stage in self.stages]
        self.handles = [handle for listener in listeners for handle in listener.handles]
        return [listener.record for listener in listeners]

    def __exit__(self, *exc_info) -> None:
        for handle in self.handles:
            handle.remove()


class _StageListener:
    """Pairs the RoIs that were pooled last with the logits that the loss then gets."""

    def __init__(self, stage: RoIStage) -> None:
        self.record = RoILogits()
        self.pooled: Optional[Tensor] = None
        self.handles = [
            stage.extractor.register_forward_pre_hook(self._on_rois),
            stage.bbox_head.loss_cls.register_forward_hook(self._on_loss, with_kwargs=True),
        ]

    def _on_rois(self, module: nn.Module, args: tuple) -> None:
        self.pooled = args[1]

    def _on_loss(self, module: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> None:
        # PISA's sampler and its reweighting ask for unreduced values of RoIs of their own
        if kwargs.get('reduction_override') is not None:
            return
        record = self.record
        record.rois = self.pooled
        record.cls_score, record.labels, record.label_weights = args[:3]
        record.avg_factor = kwargs['avg_factor']


class DenseTap:
    """Context manager that listens to the head of a single-stage detector.

    Args:
        head (nn.Module): See :func:`dense_head`.

    Example:
        >>> with DenseTap(detector.bbox_head) as (record, ):
        >>>     losses = detector.loss(inputs, samples)
    """

    def __init__(self, head: nn.Module) -> None:
        self.head = head

    def __enter__(self) -> List[DenseLogits]:
        self.record, self.levels = DenseLogits(), []
        self.handles = [
            self.head.register_forward_hook(self._on_forward),
            self.head.loss_cls.register_forward_hook(self._on_loss, with_kwargs=True),
        ]
        return [self.record]

    def __exit__(self, *exc_info) -> None:
        for handle in self.handles:
            handle.remove()
        if self.levels:
            self.record.cls_score, self.record.labels, self.record.label_weights = (
                torch.cat(parts) for parts in zip(*self.levels, strict=True))

    def _on_forward(self, module: nn.Module, args: tuple, output: tuple) -> None:
        self.record.level_shapes = [scores.shape for scores in output[0]]

    def _on_loss(self, module: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> None:
        cls_score, labels = args[:2]
        if isinstance(labels, tuple):  # GFL: labels and the quality of each
            labels = labels[0]
        weight = args[2] if len(args) > 2 else kwargs.get('weight')
        if weight is None:  # FCOS: every location alike
            weight = torch.ones_like(labels, dtype=cls_score.dtype)
        self.levels.append((cls_score, labels, weight))
        self.record.avg_factor = kwargs['avg_factor']
