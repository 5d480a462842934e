"""Puts the masks of student and teacher side by side, as the losses take them."""
from typing import Any, List, Sequence

import torch
from mmdet.structures import SampleList
from torch import Tensor, nn

from ..heads import classifiers, is_object
from ..masks import masks_of_locations, of_class
from ..taps import DenseLogits, RoILogits
from ..teachers.masks import check_sizes
from .zero import zero_of


def roi_mask_sides(detector: Any, batch_data_samples: SampleList, records: List[RoILogits],
                   feats: Sequence[Tensor]) -> List[dict]:
    """The masks of the RoIs that were assigned an object, of its class, for each stage.

    Args:
        detector (DistilledDetector): A two-stage student.
        batch_data_samples (list[DetDataSample]): Of length B.
        records (list[RoILogits]): Of this step.
        feats (Sequence[Tensor]): Of the teacher's neck.

    Raises:
        RuntimeError: if the mask head did not predict the masks of these RoIs.
        TeacherError: if the teacher's masks are of another size.
    """
    chosen = [is_object(record.labels, head.num_classes)
              for record, head in zip(records, classifiers(detector), strict=True)]
    rois, labels = zip(*((record.rois[each], record.labels[each])
                         for record, each in zip(records, chosen, strict=True)), strict=True)
    theirs = detector.teacher.roi_masks(feats, batch_data_samples, rois, labels)
    sides = []
    for record, classes, teacher in zip(records, labels, theirs, strict=True):
        if len(record.mask_logits) != len(classes):
            raise RuntimeError(f'the mask head predicted {len(record.mask_logits)} masks, but '
                               f'{len(classes)} RoIs were assigned an object')
        student = of_class(record.mask_logits, classes)
        teacher = torch.zeros_like(student) if teacher is None else teacher
        check_sizes(student, teacher, detector.teacher.name)
        sides.append(dict(student=student, teacher=teacher, labels=classes))
    return sides


def complete_masks(records: Sequence[RoILogits], heads: Sequence[nn.Module],
                   like: Tensor) -> None:
    """Of stages that did not run: no masks, with the mask head's parameters in their graph.

    Without any RoI the first stage of a cascade runs nevertheless. Its masks
    say how large these are: a temperature may ask for so many logits.
    """
    for record, head in zip(records, heads, strict=True):
        if record.mask_logits is None:
            record.mask_logits = like.new_zeros((0, *records[0].mask_logits.shape[1:])) + zero_of(
                head, like)


def dense_mask_sides(student: nn.Module, teacher: nn.Module,
                     records: List[DenseLogits]) -> List[dict]:
    """The masks that two RTMDet-Ins heads predict at the locations of objects, by their kernels."""
    sides = []
    for record in records:
        chosen = is_object(record.labels, student.num_classes)
        with torch.no_grad():
            theirs = masks_of_locations(teacher, record.teacher_outputs, chosen)
        sides.append(dict(student=masks_of_locations(student, record.outputs, chosen),
                          teacher=theirs, labels=record.labels[chosen]))
    return sides
