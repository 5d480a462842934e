"""Boxes of single-stage detectors: what their heads say of locations, in pixels."""
from typing import Any, Dict, Sequence, Tuple

import torch
from mmdet.models.dense_heads import (
    AnchorHead,
    ATSSHead,
    FCOSHead,
    GFLHead,
    RTMDetHead,
    TOODHead,
    YOLOXHead,
)
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn

from ..dense import flat, has_methods_of
from ..heads import dense_reader, has_sigmoids, is_object
from ..precision import at_least_float32
from ..taps import DenseLogits

# the methods by which a head is known to code its boxes as the first in its family does
_METHODS = ('loss_by_feat', 'loss_by_feat_single')
_FAMILIES = (AnchorHead, FCOSHead, ATSSHead, GFLHead, RTMDetHead)


def check_dense_boxes(head: nn.Module) -> None:
    """See whether it is known how a dense head codes boxes.

    Raises:
        TypeError: if not, naming it.
    """
    _family(head)


def dense_box_side(head: nn.Module, teacher_head: nn.Module, record: DenseLogits, source: str,
                   teacher_logits: Tensor) -> Dict[str, Any]:
    """What :class:`BoxKDLoss` compares, of P locations.

    With a crossed head the student's boxes are those of the crossed one.

    Args:
        head (nn.Module): The student's.
        teacher_head (nn.Module): The teacher's.
        record (DenseLogits): Of this step, with the teacher's outputs.
        source (str): 'boxes' or 'all_boxes', see :class:`BoxKDLoss`.
        teacher_logits (Tensor): (N, C), for 'all_boxes'.

    Returns:
        dict: ``student`` and ``teacher``, (P, 4) each; ``weight``, (P,);
        ``avg_factor``, None for the sum of the weights; ``objects``, (P, 4), or
        None with 'all_boxes'.
    """
    sides = dict(avg_factor=None, objects=None)
    if source == 'boxes':
        chosen = is_object(record.labels, head.num_classes)
        sides['objects'] = _objects(head, record, chosen)
        weight = torch.ones_like(sides['objects'][:, 0])
    else:
        chosen = record.label_weights > 0
        logits = flat(dense_reader(head).logits(record.outputs), head.cls_out_channels)
        own, theirs = (_scores(head, x.detach()) for x in (logits, teacher_logits))
        weight = ((own - theirs).abs().amax(1) * record.label_weights)[chosen]
        sides['avg_factor'] = record.avg_factor
    student = (teacher_head, record.crossed_outputs) if record.crossed_outputs else (
        head, record.outputs)
    return dict(sides, weight=weight, student=location_boxes(*student, chosen),
                teacher=location_boxes(teacher_head, record.teacher_outputs, chosen))


def _scores(head: nn.Module, logits: Tensor) -> Tensor:
    """Probabilities of the C classes, (N, C); both heads end alike."""
    logits = at_least_float32(logits)
    return logits.sigmoid() if has_sigmoids(head) else logits.softmax(1)[:, :head.num_classes]


def _family(head: nn.Module) -> type:
    for family in _FAMILIES:
        if has_methods_of(family, head, _METHODS):
            return family
    raise TypeError(f'the boxes of {type(head).__name__} cannot be compared: it codes them as none '
                    'of RetinaHead, FCOSHead, ATSSHead, GFLHead and RTMDetHead does')


def _places(head: nn.Module, outputs: Sequence[Any], chosen: Tensor) -> Tuple[Tensor, Tensor]:
    """Anchors (P, 4) or points (P, 2) of the chosen locations, and their strides (P, 1)."""
    generator, batch = head.prior_generator, len(outputs[1][0])
    levels = generator.grid_priors([x.shape[-2:] for x in outputs[1]], dtype=torch.float32,
                                   device=chosen.device)
    priors = torch.cat([level.repeat(batch, 1) for level in levels])
    strides = torch.cat([priors.new_full((batch * len(level), 1), float(stride[0]))
                         for level, stride in zip(levels, generator.strides, strict=True)])
    return priors[chosen], strides[chosen]


def location_boxes(head: nn.Module, outputs: Sequence[Any], chosen: Tensor) -> Tensor:
    """The boxes that a head predicts at the chosen locations.

    Args:
        head (nn.Module): One that :func:`dense_reader` knows, in evaluation
            mode; one that :func:`check_dense_boxes` accepts, in any.
        outputs (Sequence): What it gave, maps of each level.
        chosen (Tensor): (N,), which of its locations, see
            :mod:`ctkd_det.models.dense.locations`.

    Returns:
        Tensor: (P, 4), corners in pixels of the batch, not clipped.
    """
    width = 4 * (head.reg_max + 1) if isinstance(head, GFLHead) else 4
    rows = at_least_float32(flat(outputs[1], width)[chosen])
    priors, strides = _places(head, outputs, chosen)
    if isinstance(head, TOODHead):  # which decodes in its forward
        return rows * strides
    if isinstance(head, YOLOXHead):
        return head._bbox_decode(torch.cat([priors, strides, strides], 1), rows)
    if isinstance(head, GFLHead):
        with torch.autocast(rows.device.type, enabled=False):  # it is a matrix product
            rows = head.integral(rows) * strides
        priors = (priors[:, :2] + priors[:, 2:]) / 2
    # it multiplies by the stride itself, but not in training
    elif head.training and isinstance(head, FCOSHead) and head.norm_on_bbox:
        rows = rows * strides
    return get_box_tensor(head.bbox_coder.decode(priors, rows))


def _objects(head: nn.Module, record: DenseLogits, chosen: Tensor) -> Tensor:
    """The objects that the chosen locations were assigned, (P, 4), from the box loss's targets."""
    family = _family(head)
    if not record.box_targets:
        return torch.zeros(0, 4, device=chosen.device)
    targets = at_least_float32(torch.cat(record.box_targets))
    priors, strides = _places(head, record.outputs, chosen)
    if family is AnchorHead:  # of all locations
        targets = targets[chosen]
        return targets if head.reg_decoded_bbox else get_box_tensor(
            head.bbox_coder.decode(priors, targets))
    if family is GFLHead:
        return targets * strides
    if family is FCOSHead and head.norm_on_bbox:  # distances in strides, from points in pixels
        points = priors.repeat(1, 2)
        return points + (targets - points) * strides
    return targets
