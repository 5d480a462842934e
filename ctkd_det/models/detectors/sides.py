"""Puts student and teacher side by side, as the losses take them."""
from typing import Any, Collection, Dict, List

from mmdet.structures import SampleList
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor

from ..taps import Logits


def both_sides(detector: Any, sources: Collection[str], batch_inputs: Tensor,
               batch_data_samples: SampleList, maps: List[Tensor],
               records: List[Logits]) -> Dict[str, List[dict]]:
    """What the active losses compare: for each source, and each stage, both sides and more.

    The teacher looks at the images once, and answers the student's heads once
    if a source is theirs.

    Args:
        detector (DistilledDetector): The student.
        sources (Collection[str]): Those of its active losses, see
            :class:`DistillLoss`.
        batch_inputs (Tensor): (B, 3, H, W).
        batch_data_samples (list[DetDataSample]): Of length B.
        maps (list[Tensor]): Of the student's neck in this step.
        records (list[Logits]): Of its heads, one for each stage.
    """
    sides, feats, teacher = {}, None, detector.teacher
    if 'neck' in sources:
        feats = teacher.features(batch_inputs, batch_data_samples)
        teacher.check_answers('neck features', feats)
        ours, theirs, covered = detector.level_match.align(
            maps, feats, tuple(batch_inputs.shape[2:]))
        boxes = [get_box_tensor(sample.gt_instances.bboxes) for sample in batch_data_samples]
        sides['neck'] = [dict(student=ours, teacher=theirs, boxes=boxes, image_shape=covered)]
    if not set(sources) - {'neck'}:
        return sides
    if 'masks' in sources and feats is None:  # two heads look at them
        feats = teacher.features(batch_inputs, batch_data_samples)
    records = detector.complete(records, batch_inputs)
    logits = detector.teacher_logits(batch_inputs, batch_data_samples, records, feats)
    if 'logits' in sources:
        teacher.check_answers('logits', logits)
        sides['logits'] = [
            dict(student=record.cls_score, teacher=t, labels=record.labels,
                 weight=record.label_weights, avg_factor=record.avg_factor)
            for record, t in zip(records, logits, strict=True)]
    if 'roi' in sources:
        teacher.check_answers('RoI features', [record.teacher_features for record in records])
        sides['roi'] = [
            dict(student=record.features, teacher=record.teacher_features, stage=i,
                 labels=record.labels, rois=record.rois, classifier=teacher.classifier(i))
            for i, record in enumerate(records)]
    if 'masks' in sources:
        sides['masks'] = detector.mask_sides(batch_data_samples, records, feats)
        teacher.check_answers('masks', [side['teacher'] for side in sides['masks']])
    for source in set(sources) - {'neck', 'logits', 'roi', 'masks'}:
        sides[source] = detector.box_sides(batch_data_samples, records, source)
    return sides
