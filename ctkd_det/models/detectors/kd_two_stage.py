"""A two-stage detector that learns from a frozen teacher's RoI classifications."""
from contextlib import contextmanager, nullcontext
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor

from ..boxes import roi_box_side
from ..heads import classifiers, feature_width, num_logits
from ..losses import DistillLoss
from ..masks import mask_heads
from ..taps import RoILogits, RoITap, heard
from ..teachers import RoITeacher
from .distilled import DistilledDetector
from .graphs import check_roi_features
from .masks import complete_masks, roi_mask_sides
from .rotated import one_per_object, rotated_answers
from .zero import zero_of


@MODELS.register_module()
class KnowledgeDistillationTwoStageDetector(DistilledDetector, TwoStageDetector):
    """Adds distillation losses to a two-stage detector; otherwise it is one.

    Student and teacher may be any of those that :func:`roi_stages` names, each
    of another kind. What happens in a step: :class:`DistilledDetector`.

    Args:
        *args, **kwargs: Those of :class:`DistilledDetector` and of
            :class:`mmdet.models.TwoStageDetector`.
        teacher_stage (int | str, optional): Which stage of a cascade teaches,
            see :class:`RoITeacher`.
        teacher_scale (float): Factor from the student's image size to that at
            which the teacher looks. Defaults to 1.

    Raises:
        FileNotFoundError, TeacherError, TypeError, ValueError: see
            :class:`DistilledDetector` and :class:`RoITeacher`.
    """
    teacher_class = RoITeacher
    sources = ('logits', 'neck', 'roi', 'boxes', 'masks')

    def __init__(self, *args, teacher_stage: Union[int, str, None] = None,
                 teacher_scale: float = 1.0, **kwargs) -> None:
        options = dict(teacher_stage=teacher_stage, teacher_scale=teacher_scale)
        super().__init__(*args, teacher_options=options, **kwargs)

    @contextmanager
    def tap(self) -> Iterator[List[RoILogits]]:
        """What records RoIs, logits and masks of each stage, see :class:`RoITap`."""
        # a RoI head predicts masks once in each stage, of the RoIs of objects
        heads = mask_heads(self) if 'masks' in self.compared else []
        with heard(heads) as masks, RoITap(self.roi_head) as records:
            yield records
        # a cascade may end early
        for record, logits in zip(records, masks, strict=False):
            record.mask_logits = logits

    @property
    def stage_weights(self) -> Sequence[float]:
        """Sequence[float]: ``stage_loss_weights`` of a cascade."""
        return getattr(self.roi_head, 'stage_loss_weights', [1.0])

    def complete(self, records: List[RoILogits], like: Tensor) -> List[RoILogits]:
        """Without any RoI mmdet skips the loss: stand in with empty tensors.

        So every rank still has every parameter in its graph, the classifier's
        among them, and counts no RoI in the mean over all ranks.
        """
        for record, head in zip(records, classifiers(self), strict=True):
            if record.cls_score is None:
                nothing = zero_of(head, like)
                record.cls_score = like.new_zeros((0, num_logits(head))) + nothing
                record.labels = like.new_zeros((0, ), dtype=torch.long)
                record.label_weights, record.avg_factor = like.new_zeros((0, )), 0.0
                record.rois = like.new_zeros((0, 5))
                if 'roi' in self.compared:
                    record.features = like.new_zeros((0, feature_width(head))) + nothing
                if record.mask_logits is not None:
                    record.mask_logits = record.mask_logits + nothing
        if 'masks' in self.compared:
            complete_masks(records, mask_heads(self), like)
        return records

    def teacher_logits(self, batch_inputs: Tensor, batch_data_samples: SampleList,
                       records: List[RoILogits],
                       feats: Optional[Sequence[Tensor]] = None) -> List[Tensor]:
        """The teacher's logits on the recorded RoIs, those of each stage."""
        rois = [record.rois for record in records]
        tap = self.teacher.box_tap() if 'boxes' in self.compared else nullcontext([])
        with tap as answers:
            logits, features = self._ask(batch_inputs, batch_data_samples, rois, feats=feats)
        if 'roi' in self.compared:
            check_roi_features(records)
        for record, of_teacher in zip(records, features, strict=True):
            record.teacher_features = of_teacher
        if 'boxes' in self.compared:
            boxes_of = self.teacher.roi_boxes(answers, records)
            for record, boxes in zip(records, boxes_of, strict=True):
                record.teacher_boxes = boxes
        return logits

    def box_sides(self, batch_data_samples: SampleList, records: List[RoILogits],
                  source: str) -> List[dict]:
        """What losses between boxes compare, see :func:`roi_box_side`."""
        self.teacher.check_answers('boxes', [record.teacher_boxes for record in records])
        return [roi_box_side(head, record)
                for head, record in zip(classifiers(self), records, strict=True)]

    def rotated_sides(self, batch_inputs: Tensor, batch_data_samples: SampleList,
                      records: List[RoILogits], losses: List[DistillLoss]) -> Dict[str, List[dict]]:
        """What losses on rotated images compare, of each stage.

        The first of them draws how often the batch is turned by 90 degrees:
        once, twice or three times.
        """
        turns = 1 + int(3 * losses[0].draws((), torch.device('cpu')))
        records = self.complete(records, batch_inputs)
        rois = [record.rois for record in records]
        rotated = rotated_answers(self, batch_inputs, rois, turns)
        logits, features = self._ask(batch_inputs, batch_data_samples, rois, turns=turns)
        self.teacher.check_answers('logits of rotated RoIs', logits)
        sides = dict(rotated_logits=[
            dict(student=moved.cls_score, teacher=t, labels=record.labels,
                 weight=record.label_weights, avg_factor=record.avg_factor)
            for record, moved, t in zip(records, rotated, logits, strict=True)])
        if any(loss.source == 'roi' for loss in losses):
            boxes = [get_box_tensor(sample.gt_instances.bboxes) for sample in batch_data_samples]
            sides['rotated_roi'] = []
            for i, (record, moved, t) in enumerate(zip(records, rotated, features, strict=True)):
                rows = one_per_object(record, boxes, classifiers(self)[i].num_classes)
                sides['rotated_roi'].append(dict(
                    student=record.features[rows], teacher=record.teacher_features[rows], stage=i,
                    rotated_student=moved.features[rows], rotated_teacher=t[rows]))
        return sides

    def _ask(self, batch_inputs: Tensor, batch_data_samples: SampleList, rois: List[Tensor],
             **how: Any) -> Tuple[List[Tensor], List[Optional[Tensor]]]:
        """The teacher's logits and, where some loss compares them, features of RoIs."""
        if 'roi' not in self.compared:
            return self.teacher.roi_logits(batch_inputs, batch_data_samples, rois, **how), [
                None] * len(rois)
        with self.teacher.tap() as received:
            logits = self.teacher.roi_logits(batch_inputs, batch_data_samples, rois, **how)
        return logits, self.teacher.roi_features(received, rois)

    def mask_sides(self, batch_data_samples: SampleList, records: List[RoILogits],
                   feats: Sequence[Tensor]) -> List[dict]:
        """What losses between masks compare, see :func:`roi_mask_sides`."""
        return roi_mask_sides(self, batch_data_samples, records, feats)

    def roi_widths(self) -> Dict[str, List[int]]:
        """Widths of what the classifiers receive, as arguments of a feature loss."""
        return dict(student_channels=[feature_width(head) for head in classifiers(self)],
                    teacher_channels=self.teacher.feature_widths)
