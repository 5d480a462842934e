"""Records what the student's RoI head computes while its loss is computed.

Forward hooks on modules that every RoI head has; nothing is patched, and the
hooks exist only inside the ``with`` block.
"""
from dataclasses import dataclass
from typing import List, Optional

from torch import Tensor, nn


@dataclass
class RoILogits:
    """What one RoI stage computed for N sampled RoIs.

    ``rois`` is (N, 5) with the image's index first, ``cls_score`` (N, C+1),
    ``labels`` and ``label_weights`` are (N,). With no RoI at all mmdet does
    not compute a classification loss, and the last four stay None.
    """
    rois: Optional[Tensor] = None
    cls_score: Optional[Tensor] = None
    labels: Optional[Tensor] = None
    label_weights: Optional[Tensor] = None
    avg_factor: Optional[float] = None


class RoITap:
    """Context manager that listens to a RoI head.

    Args:
        roi_head (nn.Module): A head with ``bbox_roi_extractor`` and
            ``bbox_head.loss_cls``.

    Raises:
        TypeError: if the head has no such modules.

    Example:
        >>> with RoITap(detector.roi_head) as record:
        >>>     losses = detector.loss(inputs, samples)
        >>> record.cls_score
    """

    def __init__(self, roi_head: nn.Module) -> None:
        self.extractor = getattr(roi_head, 'bbox_roi_extractor', None)
        self.loss_cls = getattr(getattr(roi_head, 'bbox_head', None), 'loss_cls', None)
        if not isinstance(self.extractor, nn.Module) or not isinstance(self.loss_cls, nn.Module):
            raise TypeError(
                f'{type(roi_head).__name__} cannot be distilled: it has no single '
                'bbox_roi_extractor and bbox_head.loss_cls whose RoIs and logits could be '
                'recorded')

    def __enter__(self) -> RoILogits:
        self.record = RoILogits()
        self.handles: List = [
            self.extractor.register_forward_pre_hook(self._on_rois),
            self.loss_cls.register_forward_hook(self._on_loss, with_kwargs=True),
        ]
        return self.record

    def __exit__(self, *exc_info) -> None:
        for handle in self.handles:
            handle.remove()

    def _on_rois(self, module: nn.Module, args: tuple) -> None:
        # a mask head that shares the extractor calls it again, with other RoIs
        if self.record.rois is None:
            self.record.rois = args[1]

    def _on_loss(self, module: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> None:
        self.record.cls_score, self.record.labels, self.record.label_weights = args[:3]
        self.record.avg_factor = kwargs['avg_factor']
