"""Boxes of two-stage detectors: what a box head's regressor says of RoIs, in pixels."""
from typing import Any, Dict

from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn

from ..heads import is_object
from ..precision import at_least_float32
from ..taps import RoILogits


def check_regressor(head: nn.Module) -> None:
    """See whether a box head regresses boxes as that of Faster R-CNN does.

    Raises:
        TypeError: if not, naming it.
    """
    if not getattr(head, 'with_reg', False) or type(head).loss is not BBoxHead.loss:
        raise TypeError(f'the boxes of {type(head).__name__} cannot be compared: it does not '
                        'regress them for each RoI as the box heads of Faster, Mask and Cascade '
                        'R-CNN do')


def regressed(head: nn.Module, rois: Tensor, bbox_pred: Tensor, classes: Tensor) -> Tensor:
    """The boxes that a regressor makes of RoIs, (P, 4) in pixels.

    Args:
        head (nn.Module): A box head.
        rois (Tensor): (P, 4).
        bbox_pred (Tensor): (P, 4), or (P, C * 4) of a regressor with offsets for
            each class.
        classes (Tensor): (P,), whose offsets are taken then.
    """
    if not head.reg_class_agnostic:
        width = bbox_pred.size(1) // head.num_classes
        rows = bbox_pred.view(len(bbox_pred), head.num_classes, width)
        bbox_pred = rows.gather(1, classes[:, None, None].expand(-1, 1, width))[:, 0]
    return _decoded(head, rois, bbox_pred)


def roi_box_side(head: nn.Module, record: RoILogits) -> Dict[str, Any]:
    """What :class:`BoxKDLoss` compares, of the P foreground RoIs of a stage.

    Args:
        head (nn.Module): The student's, of this stage.
        record (RoILogits): Of this step, with the teacher's boxes.

    Returns:
        dict: ``student``, ``teacher`` and ``objects``, (P, 4) each; ``weight``,
        (P,), that of the student's own box loss; ``avg_factor``, what that is
        divided by, the number of RoIs.
    """
    if record.box_preds is None:  # no foreground
        # with the classifier in its graph, which mmdet leaves out if there is no RoI
        none = record.rois.new_zeros((0, 4)) + 0 * record.cls_score.sum()
        student = objects = weights = none
    else:
        student, (objects, weights) = record.box_preds, record.box_targets
        if not head.reg_decoded_bbox:
            rois = record.rois[is_object(record.labels, head.num_classes), 1:]
            student, objects = (_decoded(head, rois, x) for x in (student, objects))
    return dict(student=student, teacher=record.teacher_boxes, objects=objects,
                weight=weights[:, 0], avg_factor=float(len(record.labels)))


def _decoded(head: nn.Module, rois: Tensor, offsets: Tensor) -> Tensor:
    return get_box_tensor(head.bbox_coder.decode(*map(at_least_float32, (rois, offsets))))
