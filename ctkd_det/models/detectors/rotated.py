"""A second look of a two-stage student at its batch, rotated."""
from contextlib import contextmanager
from typing import Iterator, List, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torchvision.ops import box_iou

from ..heads import class_logits, classifiers, is_object, of_stage
from ..precision import at_least_float32
from ..rotation import rotate_images, rotate_rois
from ..taps import RoILogits, classifier_tap


def rotated_answers(student: nn.Module, images: Tensor, rois: Sequence[Tensor],
                    turns: int) -> List[RoILogits]:
    """What the student says of its RoIs on the rotated batch: no RPN, no losses.

    Running statistics and random states are afterwards what they were.
    Normalisation that takes the batch's statistics takes those of the rotated
    one.

    Args:
        student (nn.Module): A two-stage detector.
        images (Tensor): (B, 3, H, W), with their padding.
        rois (Sequence[Tensor]): Of each stage (N, 5).
        turns (int): See :func:`rotate_images`.

    Returns:
        list[RoILogits]: Of each stage logits and features, with a graph.
    """
    roi_head, records = student.roi_head, []
    with _unnoticed(student, images.device):
        maps = student.extract_feat(rotate_images(images, turns))
        for i, (boxes, head) in enumerate(zip(rois, classifiers(student), strict=True)):
            boxes = rotate_rois(boxes, turns, tuple(images.shape[2:]))
            with classifier_tap([head] if hasattr(head, 'fc_cls') else []) as received:
                answer = roi_head._bbox_forward(*of_stage(roi_head, i), maps, boxes)
            records.append(RoILogits(cls_score=class_logits(head, answer['cls_score']), rois=boxes,
                                     features=received[0] if received else None))
    return records


def one_per_object(record: RoILogits, boxes: Sequence[Tensor], num_classes: int) -> Tensor:
    """Rows of the RoIs that show different objects, each as well as any sampled one does.

    RoIs of one object overlap and look alike, so none is a wrong answer where
    another is the right one.

    Args:
        record (RoILogits): RoIs and labels; foreground has labels below
            ``num_classes``.
        boxes (Sequence[Tensor]): Of each image (G, 4), its ground-truth boxes.
        num_classes (int): C.

    Returns:
        Tensor: (M,), for each box the row of the RoI that overlaps it most,
        among those that overlap no other box of the image more; no row where
        there is none.
    """
    rois = at_least_float32(record.rois)
    foreground = is_object(record.labels, num_classes).nonzero().squeeze(1)
    chosen = [foreground[:0]]
    for image, objects in enumerate(boxes):
        rows = foreground[rois[foreground, 0] == image]
        if not len(rows) or not len(objects):
            continue
        overlaps = box_iou(rois[rows, 1:], objects.to(rois))
        of_object = F.one_hot(overlaps.argmax(1), len(objects)).bool()
        overlap, best = overlaps.masked_fill(~of_object, -1).max(0)
        chosen.append(rows[best[overlap >= 0]])
    return torch.cat(chosen)


@contextmanager
def _unnoticed(student: nn.Module, device: torch.device) -> Iterator[None]:
    """Leave running statistics and random states as they are."""
    norms = [module for module in student.modules() if isinstance(module, _NormBase)
             and module.training and module.track_running_stats]
    with torch.random.fork_rng([device] if device.type == 'cuda' else []):
        try:
            for norm in norms:
                norm.track_running_stats = False
            yield
        finally:
            for norm in norms:
                norm.track_running_stats = True
