"""The teacher of a two-stage student."""
from typing import List, Sequence, Union

import torch
from mmdet.models.roi_heads import CascadeRoIHead
from torch import Tensor, nn

from ..heads import num_logits, roi_stages
from .checkpoint import TeacherError
from .inputs import InputScale
from .teacher import FrozenTeacher


class RoITeacher(FrozenTeacher):
    """Classifies the student's RoIs: backbone, neck and RoI head, no RPN, no NMS.

    A cascade has several classifiers, all of which can be asked about any
    RoIs. A student with as many stages learns stage by stage; a student with
    one stage learns from the first, which was trained on RPN's proposals as
    the student's is; ``teacher_stage`` says otherwise.

    Args:
        *args, **kwargs: See :class:`FrozenTeacher`.
        teacher_stage (int | str, optional): A stage of the teacher (0 is the
            first) for every stage of the student, or 'mean', the mean of the
            logits of all stages, as Cascade R-CNN's own prediction is.
            Defaults to None, as above.
        teacher_scale (float): Factor from the student's image size to the
            teacher's. Defaults to 1.

    Raises:
        ValueError: if ``teacher_stage`` or ``teacher_scale`` is out of range.
        TeacherError: if both are cascades of different length and
            ``teacher_stage`` is None.
    """

    def __init__(self, *args, student: nn.Module, teacher_stage: Union[int, str, None] = None,
                 teacher_scale: float = 1.0, **kwargs) -> None:
        super().__init__(*args, student=student, **kwargs)
        self.stages = self._stages(teacher_stage, len(self.heads(student)))
        self.width = num_logits(self.heads(student)[0])
        self.scale = InputScale(teacher_scale, self.model.data_preprocessor)

    @staticmethod
    def heads(detector: nn.Module) -> List[nn.Module]:
        roi_head = getattr(detector, 'roi_head', None)
        return [stage.bbox_head for stage in roi_stages(detector if roi_head is None else roi_head)]

    @torch.no_grad()
    def roi_logits(self, images: Tensor, batch_data_samples: Sequence,
                   rois: Sequence[Tensor]) -> List[Tensor]:
        """Classify the student's RoIs, of each of its stages.

        Args:
            images (Tensor): (B, 3, H, W), normalised for the student.
            batch_data_samples (Sequence[DetDataSample]): Of length B.
            rois (Sequence[Tensor]): For each stage of the student (N, 5), the
                image's index and x1, y1, x2, y2.

        Returns:
            list[Tensor]: For each of them (N, C+1) logits without a graph,
            in the student's order of classes.
        """
        feats = self.features(images, batch_data_samples) if sum(map(len, rois)) else ()
        return [self._classify(feats, self.scale.rois(r, batch_data_samples), stages)
                if len(r) else images.new_zeros((0, self.width))
                for r, stages in zip(rois, self.stages, strict=True)]

    def prepare(self, images: Tensor, batch_data_samples: Sequence) -> Tensor:
        images = super().prepare(images, batch_data_samples)
        return self.scale.images(images, batch_data_samples)

    def describe(self, batch_data_samples: Sequence) -> Sequence:
        return self.scale.samples(super().describe(batch_data_samples))

    def _classify(self, feats: Sequence[Tensor], rois: Tensor, stages: Sequence[int]) -> Tensor:
        roi_head, rois = self.model.roi_head, rois.to(feats[0].dtype)
        if not isinstance(roi_head, CascadeRoIHead):
            return self.map_classes(roi_head._bbox_forward(feats, rois)['cls_score'])
        logits = [roi_head._bbox_forward(stage, feats, rois)['cls_score'] for stage in stages]
        return self.map_classes(sum(logits) / len(logits))

    def _stages(self, teacher_stage: Union[int, str, None], num_student: int) -> List[List[int]]:
        """For each stage of the student, whose logits are averaged."""
        own = len(self.heads(self.model))
        if teacher_stage is None:
            if own == num_student:
                return [[i] for i in range(own)]
            if own > 1 < num_student:
                raise TeacherError(
                    f'teacher {self.name} is a cascade of {own} stages, the student of '
                    f"{num_student}: say which is to teach with teacher_stage=0 to {own - 1} or "
                    "'mean'")
            teacher_stage = 0
        if teacher_stage == 'mean':
            return [list(range(own))] * num_student
        if not isinstance(teacher_stage, int) or not 0 <= teacher_stage < own:
            raise ValueError(f"teacher_stage must be 'mean' or from 0 to {own - 1}, the stages of "
                             f'teacher {self.name}; got {teacher_stage!r}')
        return [[teacher_stage]] * num_student
