"""Distillation between boxes in pixels."""
import math
from typing import Optional

import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from ...precision import at_least_float32
from ..distill_loss import DistillLoss
from ..weights import weighted_mean

MODES = ('bounded', 'iou')
# the deviations by which Faster R-CNN divides offsets of centers, and logarithms of sizes
_OFFSET, _LOG_SIZE = 0.1, 0.2
# of an object's size; a smaller box has no logarithm worth having
_SMALLEST = 0.01


@MODELS.register_module()
class BoxKDLoss(DistillLoss):
    r"""The teacher's boxes beside the ground truth, of P foreground RoIs or locations.

    'bounded' is the teacher-bounded regression of "Learning Efficient Object
    Detection Models with Knowledge Distillation" (NeurIPS 2017), eq. 6:

    .. math::
        L_i = \|s_i - y_i\|^2 \text{ where } \|s_i - y_i\|^2 + m > \|t_i - y_i\|^2,
        \text{ else } 0

    with s, t and y the boxes of student, teacher and object: a second pull to
    the object, as long as the student is not better than the teacher by the
    margin m. ``target='teacher'`` pulls to the teacher's box, :math:`\|s_i -
    t_i\|^2`, under the same condition; that is not in the paper.

    'iou' is the localization loss of "Bridging Cross-task Protocol
    Inconsistency for Distillation in Dense Object Detection" (BCKD, ICCV
    2023): one minus the IoU of the student's box and the teacher's, in the
    generalised form that its authors' code takes.

    Boxes are compared in pixels, so student and teacher may code them in
    different ways. 'bounded' measures a box in Faster R-CNN's coding relative
    to the object: offsets of the centers in tenths of its size, logarithms of
    the sizes' ratios in fifths, so that the paper's weight holds.

    Args:
        mode (str): 'bounded' or 'iou'.
        margin (float): m of 'bounded'; below 0, the student's error must
            exceed the teacher's by as much. Defaults to 0.
        source (str): 'boxes' for foreground RoIs, whose sum is divided as the
            student's box loss is, or for the locations with an object, each
            of which counts alike in the mean; or, of 'iou' and
            single-stage detectors, 'all_boxes': every location, with the
            largest difference of a class's scores as its weight, divided by
            what the classification loss is divided by, as BCKD has it.
            Defaults to 'boxes'.
        target (str): Where 'bounded' pulls to, 'object' or 'teacher'. Defaults
            to 'object', the paper's.
        **kwargs: ``loss_weight`` and ``window``, see :class:`DistillLoss`.

    Raises:
        ValueError: if ``mode``, ``source`` or ``target`` is unknown, ``margin`` is not finite,
            or an option of 'bounded' is given with 'iou'.

    Example:
        >>> loss = BoxKDLoss('iou')
        >>> student, teacher = torch.tensor([[0., 0., 8., 4.]]), torch.tensor([[0., 0., 4., 4.]])
        >>> loss(student, teacher)
        tensor(0.5000)
        >>> bounded = BoxKDLoss('bounded')
        >>> bounded(teacher, student, objects=teacher)  # the student is better
        tensor(0.)
        >>> bounded.statistics['taught']  # the share of boxes that are pulled
        tensor(0.)
    """
    source = 'boxes'
    needs = ('objects', 'weight', 'avg_factor')

    def __init__(self, mode: str, source: str = 'boxes', margin: float = 0.0,
                 target: str = 'object', **kwargs) -> None:
        super().__init__(**kwargs)
        if mode not in MODES:
            raise ValueError(f"mode must be 'bounded' or 'iou', got {mode!r}")
        if target not in ('object', 'teacher'):
            raise ValueError(f"target must be 'object' or 'teacher', got {target!r}")
        if mode == 'iou' and (margin, target) != (0.0, 'object'):
            raise ValueError("margin and target are options of mode='bounded': leave them out")
        if source not in ('boxes', 'all_boxes') or source == 'all_boxes' and mode != 'iou':
            raise ValueError("source must be 'boxes', or with mode='iou' 'all_boxes', got "
                             f'{source!r}')
        if not math.isfinite(margin):
            raise ValueError(f'margin must be a finite number, got {margin}')
        self.mode, self.source, self.margin, self.target = mode, source, margin, target

    def forward(self, student: Tensor, teacher: Tensor, objects: Optional[Tensor] = None,
                weight: Optional[Tensor] = None, avg_factor: Optional[float] = None) -> Tensor:
        """Compute the loss, in float32 or wider whatever the autocast state.

        Args:
            student (Tensor): (P, 4), x1, y1, x2, y2 in pixels.
            teacher (Tensor): (P, 4); no gradient goes through it.
            objects (Tensor, optional): (P, 4), the ground truth of each; 'iou'
                needs none.
            weight (Tensor, optional): (P,), how much each counts. Defaults to
                1 each.
            avg_factor (float, optional): What the weighted sum is divided by.
                Defaults to the sum of the weights.

        Returns:
            Tensor: A scalar; 0 if P is 0.
        """
        with torch.autocast(student.device.type, enabled=False):
            s, t = at_least_float32(student), at_least_float32(teacher.detach())
            if self.mode == 'iou':
                loss = 1 - bbox_overlaps(_upright(s), _upright(t), mode='giou', is_aligned=True)
                # the IoU of two empty boxes would be 0, of equal ones as well
                loss = loss.where((s != t).any(1), 0)
            else:
                loss = self._bounded(s, t, at_least_float32(objects))
            weight = torch.ones_like(loss) if weight is None else weight.to(loss)
            if avg_factor is None:
                avg_factor = weight.sum()
            return self.factor * weighted_mean(loss, weight, avg_factor)

    def _bounded(self, s: Tensor, t: Tensor, y: Tensor) -> Tensor:
        s, t = _coded(s, y), _coded(t, y)
        error = s.square().sum(1)
        taught = error.detach() + self.margin > t.square().sum(1)
        self.statistics = dict(taught=taught.to(error).mean()) if len(s) else {}
        loss = error if self.target == 'object' else (s - t).square().sum(1)
        return loss.where(taught, 0)


def _upright(boxes: Tensor) -> Tensor:
    """Boxes whose second corner is not above or left of the first, as RTMDet's may be.

    The generalised IoU of a box with a negative size has no bound.
    """
    return torch.cat([boxes[:, :2], torch.maximum(boxes[:, :2], boxes[:, 2:])], 1)


def _coded(boxes: Tensor, objects: Tensor) -> Tensor:
    """Boxes relative to their objects, (P, 4); 0 of the object itself."""
    sizes = (objects[:, 2:] - objects[:, :2]).clamp(min=1e-3)
    ratios = (boxes[:, 2:] - boxes[:, :2]) / sizes
    centers = (boxes[:, :2] + boxes[:, 2:] - objects[:, :2] - objects[:, 2:]) / 2
    return torch.cat([centers / sizes / _OFFSET, ratios.clamp(min=_SMALLEST).log() / _LOG_SIZE], 1)
