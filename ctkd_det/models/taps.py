"""Records what the student computes while its loss is computed.

Forward hooks on modules that every such detector has; nothing is patched, and
the hooks exist only inside the ``with`` block.
"""
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, ContextManager, Iterator, List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from .dense import DenseReader, flat
from .heads import RoIStage, class_logits, dense_reader, roi_stages


@dataclass
class Logits:
    """What a classification loss received for N RoIs or anchors.

    ``cls_score`` is (N, C+1), or (N, C) of a sigmoid head, see
    :func:`class_logits`; ``labels`` and ``label_weights`` are (N,), after any
    reweighting (PISA). With no RoI at all mmdet does not compute a
    classification loss, and they stay None.
    """
    cls_score: Optional[Tensor] = None
    labels: Optional[Tensor] = None
    label_weights: Optional[Tensor] = None
    avg_factor: Optional[float] = None


@dataclass
class RoILogits(Logits):
    """Of one RoI stage.

    ``rois`` is (N, 5) with the image's index first; ``features`` is (N, D),
    what the layer ``fc_cls`` of the classifier received, ``features_hidden`` whether
    that was computed without a graph, as activation checkpointing does, and
    ``teacher_features`` what the teacher's did, if that was asked for;
    ``box_preds`` are what the regressor says of the P foreground RoIs, (P, 4), and
    ``box_targets`` targets and weights of these, each (P, 4), as the box loss
    received them; None if there are none. ``teacher_boxes`` are the teacher's, (P, 4)
    in pixels, if they were asked for. ``mask_logits`` are the student's, (P, C, H, W) or,
    of a class-agnostic mask head, (P, 1, H, W), if they were asked for.
    """
    rois: Optional[Tensor] = None
    features: Optional[Tensor] = None
    features_hidden: bool = False
    teacher_features: Optional[Tensor] = None
    box_preds: Optional[Tensor] = None
    box_targets: Optional[Tuple[Tensor, Tensor]] = None
    teacher_boxes: Optional[Tensor] = None
    mask_logits: Optional[Tensor] = None


@dataclass
class DenseLogits(Logits):
    """Of all locations of a single-stage detector, the finest level first.

    ``level_shapes`` are those of the head's outputs, (B, A * C, H, W) with A
    anchors at each location; N is the sum of B * H * W * A over the levels.
    ``tower_maps`` are those of a :class:`TowerCut`, if that was asked for.
    ``box_targets`` are what the box loss was to reach, call by call.
    ``outputs`` is what the head gave, a tuple of maps of each level;
    ``teacher_outputs`` what the teacher's did, and ``crossed_outputs`` what
    it did of the student's maps, if that was asked for.
    """
    level_shapes: List[torch.Size] = field(default_factory=list)
    tower_maps: List[Tensor] = field(default_factory=list)
    box_targets: List[Tensor] = field(default_factory=list)
    outputs: tuple = ()
    teacher_outputs: tuple = ()
    crossed_outputs: tuple = ()


class NeckTap:
    """Context manager that listens to the neck, or to the backbone of a detector without one.

    Args:
        detector (nn.Module): Any detector of mmdet with a backbone.

    Example::

        with NeckTap(detector) as maps:
            losses = detector.loss(inputs, samples)
        maps[0]  # (B, C, H, W), the finest level
    """

    def __init__(self, detector: nn.Module) -> None:
        self.module = detector.neck if detector.with_neck else detector.backbone

    def __enter__(self) -> List[Tensor]:
        self.maps: List[Tensor] = []
        self.handle = self.module.register_forward_hook(self._on_forward)
        return self.maps

    def __exit__(self, *exc_info) -> None:
        self.handle.remove()

    def _on_forward(self, module: nn.Module, args: tuple, output: Sequence[Tensor]) -> None:
        self.maps[:] = output


@contextmanager
def heard(modules: Sequence[nn.Module], inputs: bool = False) -> Iterator[List[Any]]:
    """Collect what modules give, or take as their first input, in the order of their calls."""
    found: List[Any] = []

    def take_input(module: nn.Module, args: tuple) -> None:
        found.append(args[0])

    def take_output(module: nn.Module, args: tuple, output: Any) -> None:
        found.append(output)

    with ExitStack() as hooks:
        for module in modules:
            hooks.enter_context(module.register_forward_pre_hook(take_input) if inputs else
                                module.register_forward_hook(take_output))
        yield found


def classifier_tap(heads: Sequence[nn.Module]) -> ContextManager[List[Tensor]]:
    """Listens to what the ``fc_cls`` of box heads receive, call by call."""
    return heard([head.fc_cls for head in heads], inputs=True)


class RoITap:
    """Context manager that listens to every stage of a RoI head.

    Args:
        roi_head (nn.Module): See :func:`roi_stages`.

    Raises:
        TypeError: if the head cannot be distilled.

    Example::

        with RoITap(detector.roi_head) as records:  # one for each stage
            losses = detector.loss(inputs, samples)
        records[0].cls_score
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
        self.received: Optional[Tensor] = None
        self.hidden = False
        self.head = stage.bbox_head
        self.handles = [
            stage.extractor.register_forward_pre_hook(self._on_rois),
            stage.bbox_head.loss_cls.register_forward_hook(self._on_loss, with_kwargs=True),
        ]
        if hasattr(stage.bbox_head, 'loss_bbox'):
            self.handles.append(stage.bbox_head.loss_bbox.register_forward_hook(
                self._on_boxes, with_kwargs=True))
        if hasattr(stage.bbox_head, 'fc_cls'):
            self.handles.append(stage.bbox_head.fc_cls.register_forward_pre_hook(self._on_features))

    def _on_rois(self, module: nn.Module, args: tuple) -> None:
        self.pooled = args[1]

    def _on_features(self, module: nn.Module, args: tuple) -> None:
        self.received, self.hidden = args[0], not torch.is_grad_enabled()

    def _on_boxes(self, module: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> None:
        if kwargs.get('reduction_override') is None and len(args) > 2:
            self.record.box_preds, self.record.box_targets = args[0], args[1:3]

    def _on_loss(self, module: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> None:
        # PISA's sampler and its reweighting ask for unreduced values of RoIs of their own
        if kwargs.get('reduction_override') is not None:
            return
        record = self.record
        record.rois = self.pooled
        record.features, record.features_hidden = self.received, self.hidden
        record.cls_score = class_logits(self.head, args[0])
        record.labels, record.label_weights = args[1:3]
        record.avg_factor = kwargs['avg_factor']


class DenseTap:
    """Context manager that listens to the head of a single-stage detector.

    Args:
        head (nn.Module): See :func:`dense_head`.

    Example::

        with DenseTap(detector.bbox_head) as (record, ):
            losses = detector.loss(inputs, samples)
    """

    def __init__(self, head: nn.Module) -> None:
        self.head, self.reader_class = head, dense_reader(head)

    def __enter__(self) -> List[DenseLogits]:
        self.record, self.levels = DenseLogits(), []
        self.reader: DenseReader = self.reader_class(self.head)
        self.handles = [self.head.register_forward_hook(self._on_forward)] + [
            module.register_forward_hook(self.reader.hear, with_kwargs=True)
            for module in self.reader.modules()]
        if hasattr(self.head, 'loss_bbox'):
            self.handles.append(self.head.loss_bbox.register_forward_hook(
                self._on_boxes, with_kwargs=True))
        return [self.record]

    def __exit__(self, *exc_info) -> None:
        for handle in self.handles:
            handle.remove()
        if exc_info[0] is None and self.levels:
            record = self.record
            record.level_shapes = [level.shape for level in self.levels]
            record.cls_score = flat(self.levels, self.head.cls_out_channels)
            record.labels, record.label_weights, record.avg_factor = self.reader.targets(
                self.levels)

    def _on_boxes(self, module: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> None:
        if kwargs.get('reduction_override') is None and len(args) > 1:
            self.record.box_targets.append(args[1])

    def _on_forward(self, module: nn.Module, args: tuple, output: tuple) -> None:
        self.levels, self.record.outputs = self.reader_class.logits(output), output
