"""The teacher of a two-stage student."""
from typing import Callable, ContextManager, List, Optional, Sequence, Union

import torch
from torch import Tensor, nn

from ..boxes import regressed
from ..heads import (
    class_logits,
    classifiers,
    feature_width,
    is_object,
    num_logits,
    of_stage,
)
from ..masks import of_class
from ..rotation import rotate_rois
from ..taps import RoILogits, classifier_tap, heard
from .classifying_teacher import ClassifyingTeacher
from .stages import teaching_stages


class RoITeacher(ClassifyingTeacher):
    """Classifies the student's RoIs: backbone, neck and RoI head, no RPN, no NMS.

    A cascade has several classifiers, all of which can be asked about any
    RoIs. A student with as many stages learns stage by stage; a student with
    one stage learns from the first, which was trained on RPN's proposals as
    the student's is; ``teacher_stage`` says otherwise.

    Args:
        *args, **kwargs: See :class:`ClassifyingTeacher`.
        teacher_stage (int | str, optional): A stage of the teacher (0 is the
            first) for every stage of the student, or 'mean', the mean of the
            logits of all stages, as Cascade R-CNN's own prediction is.
            Defaults to None, as above.

    Raises:
        ValueError: if ``teacher_stage`` is out of range.
        TeacherError: if both are cascades of different length and
            ``teacher_stage`` is None.
    """

    def __init__(self, *args, student: nn.Module, teacher_stage: Union[int, str, None] = None,
                 **kwargs) -> None:
        super().__init__(*args, student=student, teacher_stage=teacher_stage, **kwargs)
        heads = classifiers(student)
        self.stages = teaching_stages(
            teacher_stage, len(classifiers(self.model)), len(heads), self.name)
        self.width, self.num_classes = num_logits(heads[0]), heads[0].num_classes

    @torch.no_grad()
    def roi_logits(self, images: Tensor, batch_data_samples: Sequence,
                   rois: Sequence[Tensor],
                   feats: Optional[Sequence[Tensor]] = None, turns: int = 0) -> List[Tensor]:
        """Classify the student's RoIs, of each of its stages.

        Args:
            images (Tensor): (B, 3, H, W), normalised for the student.
            batch_data_samples (Sequence[DetDataSample]): Of length B.
            rois (Sequence[Tensor]): For each stage of the student (N, 5), the
                image's index and x1, y1, x2, y2.
            feats (Sequence[Tensor], optional): What :meth:`features` gave for
                these images. Defaults to None, to be computed.
            turns (int): Quarter turns by which it looks at images and RoIs
                rotated, see :func:`rotate_rois`. Defaults to 0.

        Returns:
            list[Tensor]: For each of them (N, C+1) logits without a graph, or
            (N, C) in front of sigmoids, in the student's order of classes.
        """
        if feats is None and sum(map(len, rois)):
            feats = self.features(images, batch_data_samples, turns)
        return [self._classify(feats, self._where(r, images, batch_data_samples, turns), stages)
                if len(r) else images.new_zeros((0, self.width))
                for r, stages in zip(rois, self.stages, strict=True)]

    @torch.no_grad()
    def roi_masks(self, feats: Sequence[Tensor], batch_data_samples: Sequence,
                  rois: Sequence[Tensor], labels: Sequence[Tensor]) -> List[Optional[Tensor]]:
        """Predict the masks of some of the student's RoIs, of each of its stages.

        Args:
            feats (Sequence[Tensor]): What :meth:`features` gave.
            batch_data_samples (Sequence[DetDataSample]): Of length B.
            rois (Sequence[Tensor]): For each stage (P, 5).
            labels (Sequence[Tensor]): For each (P,), the student's classes of
                the objects. A class-agnostic mask head has one mask for all.

        Returns:
            list[Tensor]: For each (P, H, W) logits without a graph; None of a
            stage without RoIs.
        """
        roi_head, found = self.model.roi_head, []
        for r, classes, stages in zip(rois, labels, self.stages, strict=True):
            if not len(r):
                found.append(None)
                continue
            r = self.scale.rois(r, batch_data_samples).to(feats[0].dtype)
            masks = [roi_head._mask_forward(*of_stage(roi_head, stage), feats, r)['mask_preds']
                     for stage in stages]
            found.append(of_class(sum(masks) / len(masks), self.own_classes(classes)))
        return found

    def tap(self) -> ContextManager[List[Tensor]]:
        """Listens to what the classifiers receive, one entry for each stage with RoIs."""
        return classifier_tap(classifiers(self.model))

    def roi_features(self, received: Sequence[Tensor], rois: Sequence[Tensor]) -> List[Tensor]:
        """(N, D) of each stage of the student, from what :meth:`tap` has heard."""
        calls = iter(received)
        return [next(calls) if len(r) else r.new_zeros((0, width))
                for r, width in zip(rois, self.feature_widths, strict=True)]

    def box_tap(self) -> ContextManager[List[Sequence[Tensor]]]:
        """Listens to the box heads: logits and offsets, of each stage that answers."""
        return heard(classifiers(self.model))

    @torch.no_grad()
    def roi_boxes(self, answers: Sequence[Sequence[Tensor]],
                  records: Sequence[RoILogits]) -> List[Tensor]:
        """Its boxes for the student's foreground RoIs, from what :meth:`box_tap` has heard.

        Offsets are relative to a RoI, so ``teacher_scale`` does not matter. Of
        several teaching stages the mean of their boxes is taken.

        Args:
            answers (Sequence): What it heard of the latest :meth:`roi_logits`.
            records (Sequence[RoILogits]): Of each stage of the student.

        Returns:
            list[Tensor]: (P, 4) for each of them, in pixels of the student's image.
        """
        calls, boxes, heads = iter(answers), [], classifiers(self.model)
        for record, stages in zip(records, self.stages, strict=True):
            if not len(record.rois):
                boxes.append(record.rois.new_zeros((0, 4)))
                continue
            chosen = is_object(record.labels, self.num_classes)
            classes, rois = self.own_classes(record.labels[chosen]), record.rois[chosen, 1:]
            found = [regressed(heads[stage], rois, next(calls)[1][chosen], classes)
                     for stage in stages]
            boxes.append(sum(found) / len(found))
        return boxes

    @property
    def feature_widths(self) -> List[int]:
        """list[int]: D of the teaching stage, for each stage of the student."""
        heads = classifiers(self.model)
        return [feature_width(heads[stages[0]]) for stages in self.stages]

    def classifier(self, stage: int) -> Callable[[Tensor], Tensor]:
        """The layer that teaches a stage of the student: logits of any (N, D) features."""
        head = classifiers(self.model)[self.stages[stage][0]]

        def classify(features: Tensor) -> Tensor:
            logits = head.fc_cls(features.to(next(head.fc_cls.parameters()).dtype))
            return self.map_classes(class_logits(head, logits)).to(features.dtype)

        return classify

    def _where(self, rois: Tensor, images: Tensor, batch_data_samples: Sequence,
               turns: int) -> Tensor:
        """The student's RoIs on the images as the teacher sees them."""
        return rotate_rois(self.scale.rois(rois, batch_data_samples), turns,
                           self.scale.size(images, batch_data_samples))

    def _classify(self, feats: Sequence[Tensor], rois: Tensor, stages: Sequence[int]) -> Tensor:
        roi_head, rois = self.model.roi_head, rois.to(feats[0].dtype)
        heads = classifiers(self.model)
        logits = [class_logits(heads[stage], roi_head._bbox_forward(
            *of_stage(roi_head, stage), feats, rois)['cls_score']) for stage in stages]
        return self.map_classes(sum(logits) / len(logits))
