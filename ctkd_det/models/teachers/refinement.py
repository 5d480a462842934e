"""FRSKD: a teacher that refines the student's own maps, and is trained with the student."""
import copy
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Callable, ContextManager, Dict, List, Optional, Sequence

import torch
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..heads import (
    class_logits,
    classifiers,
    feature_width,
    is_object,
    of_stage,
    roi_stages,
)
from ..taps import RoILogits, classifier_tap
from .bifpn import BiFPN


class SelfTeacher(nn.Module):
    """The trained parts of a :class:`RefiningTeacher`: a BiFPN and a box head of its own.

    It has no ``init_weights``, which would draw from the student's random
    numbers: it is ready when it is built.

    Args:
        student (nn.Module): A two-stage detector.
        roi_head (dict): The config of its RoI head.
        channels (Sequence[int]): Widths of the maps that it reads, all the same.

    Raises:
        TypeError: if the box head is not trained as that of Faster, Mask or
            Cascade R-CNN is.
        ValueError: see :class:`BiFPN`.
    """

    def __init__(self, student: nn.Module, roi_head: dict, channels: Sequence[int]) -> None:
        super().__init__()
        cascade = isinstance(student.roi_head, CascadeRoIHead)
        base = CascadeRoIHead if cascade else StandardRoIHead
        heads = [stage.bbox_head for stage in roi_stages(student.roi_head)]
        if type(student.roi_head)._bbox_forward is not base._bbox_forward or any(
                type(head).loss is not BBoxHead.loss for head in heads):
            raise TypeError(f"teacher_config='refined': {type(student.roi_head).__name__} with "
                            f'{type(heads[0]).__name__} is not trained as the box heads of Faster, '
                            'Mask and Cascade R-CNN are, so there is no loss for a second one')
        parts = ['bbox_roi_extractor', 'bbox_head', 'test_cfg']
        parts += ['num_stages', 'stage_loss_weights'] if cascade else []
        self.neck = BiFPN(channels)
        self.roi_head = MODELS.build(dict(
            type=base, train_cfg=None, **{key: copy.deepcopy(roi_head[key]) for key in parts}))
        self.roi_head.init_weights()


class RefiningTeacher:
    """Answers as a :class:`RoITeacher` does, from refined maps of the student's neck.

    In each step it computes its own detection losses on the student's RoIs,
    labels and box targets; their gradient reaches the student's neck and
    backbone. What it teaches is detached, so nothing of the distillation
    losses reaches it. Refined are the maps that the RoI head reads: of any
    other, such as P6 of an FPN, no loss could train the refinement, and
    DistributedDataParallel would miss its gradients.

    It begins with random weights, so it learns before it teaches: a loss whose
    config has no ``window`` begins after two thirds of the training, as in the
    paper's code for segmentation, and grows until the end. In a trained
    student an earlier one destroys what it knows.

    Source: "Refine Myself by Teaching Myself: Feature Refinement via
    Self-Knowledge Distillation" (CVPR 2021), which has classification and
    segmentation; that there is a box head, on RoIs, is this package's.

    Args:
        student (nn.Module): A two-stage detector, built.
        roi_head (dict): The config of its RoI head.
        channels (Sequence[int]): Widths of its neck's maps.
        loss_weight (float): Of the own losses, at least 0. With 0 it does nothing, and
            teaches nothing. Defaults to 1.

    Raises:
        TypeError: see :class:`SelfTeacher`.
        ValueError: if the RoI head does not read several maps of one width.

    Attributes:
        num_maps (int): How many maps are refined, from the finest on.
    """
    learns, is_snapshot, snapshots, classes = True, False, None, None
    name = "the student's self-teacher"
    window = dict(begin=0.67, warmup=0.33)

    def __init__(self, student: nn.Module, roi_head: dict, channels: Sequence[int],
                 loss_weight: float = 1.0) -> None:
        self.student, self.loss_weight = student, loss_weight
        self.num_maps = min(len(channels), max(
            stage.extractor.num_inputs for stage in roi_stages(student.roi_head)))
        self.module = SelfTeacher(student, roi_head, channels[:self.num_maps])
        self.scale = SimpleNamespace(factor=1.0)
        self.ready = loss_weight > 0
        if not self.ready:  # nothing that gradient clipping or decay could see
            self.module.requires_grad_(False)
        self.maps: List[Tensor] = []
        self.logits: List[Tensor] = []
        self.received: List[Tensor] = []

    @property
    def model(self) -> nn.Module:
        """nn.Module: A detector whose first ``num_maps`` maps are as wide: the student."""
        return self.student

    def learn(self, maps: Sequence[Tensor], records: Sequence[RoILogits]) -> Dict[str, Tensor]:
        """Look at a step of the student.

        Args:
            maps (Sequence[Tensor]): (B, C, H, W) of its neck.
            records (Sequence[RoILogits]): What each stage of its RoI head
                computed.

        Returns:
            dict[str, Tensor]: The own losses, ``self_teacher.loss_cls`` and
            ``self_teacher.loss_bbox``, of a cascade under ``s0.`` ...
        """
        if not self.ready:
            return {}
        refined, losses = self.module.neck(maps[:self.num_maps]), {}
        roi_head, heads = self.module.roi_head, classifiers(self.module)
        weights = getattr(roi_head, 'stage_loss_weights', [1.0])
        self.maps, self.logits, self.received = [x.detach() for x in refined], [], []
        for i, (record, head, weight) in enumerate(zip(records, heads, weights, strict=True)):
            prefix = f's{i}.' if len(heads) > 1 else ''
            with classifier_tap([head]) as received:
                answer = roi_head._bbox_forward(*of_stage(roi_head, i), refined, record.rois)
            self.received.append(received[0].detach())
            self.logits.append(class_logits(head, answer['cls_score']).detach())
            own = head.loss(answer['cls_score'], answer['bbox_pred'], record.rois, record.labels,
                            record.label_weights, *_box_targets(record, head.num_classes))
            own.setdefault('loss_cls', answer['cls_score'].sum() * 0)  # without any RoI
            losses.update({f'{prefix}self_teacher.{key}': self.loss_weight * weight * value
                           for key, value in own.items() if 'loss' in key})
        return losses

    def features(self, images: Tensor, batch_data_samples: Sequence) -> List[Tensor]:
        """The refined maps, without a graph."""
        return self.maps

    def roi_logits(self, images: Tensor, batch_data_samples: Sequence, rois: Sequence[Tensor],
                   feats: Optional[Sequence[Tensor]] = None) -> List[Tensor]:
        """(N, C+1) of each stage, or (N, C) in front of sigmoids, without a graph."""
        return self.logits

    def tap(self) -> ContextManager[List[Tensor]]:
        """Nothing is left to listen to."""
        return nullcontext([])

    def roi_features(self, received: Sequence[Tensor], rois: Sequence[Tensor]) -> List[Tensor]:
        """(N, D) of each stage, without a graph."""
        return self.received

    @property
    def feature_widths(self) -> List[int]:
        """list[int]: D of each stage."""
        return [feature_width(head) for head in classifiers(self.module)]

    def classifier(self, stage: int) -> Callable[[Tensor], Tensor]:
        """A frozen copy of the layer that classifies: gradients go through it, none to it."""
        head = classifiers(self.module)[stage]
        layer = copy.deepcopy(head.fc_cls).requires_grad_(False)
        return lambda features: class_logits(head, layer(features))

    @torch.no_grad()
    def predict(self, images: Tensor, batch_data_samples: Sequence) -> Sequence:
        """What it detects on the student's proposals, see :meth:`FrozenTeacher.predict`."""
        samples = copy.deepcopy(batch_data_samples)
        maps = self.student.extract_feat(images)
        proposals = self.student.rpn_head.predict(maps, samples, rescale=False)
        found = self.module.roi_head.predict(self.module.neck(maps[:self.num_maps]), proposals,
                                             samples, rescale=True)
        return self.student.add_pred_to_datasample(samples, found)

    def follow(self, fn) -> None:
        """Nothing to do: it is a part of the student."""

    def check_classes(self, student_classes: Optional[Sequence[str]]) -> None:
        """Nothing to check: its classes are the student's."""

    def check_answers(self, kind: str, answers: Sequence) -> None:
        """Nothing to do: it is trained, and its losses are watched as the student's are."""

    def check_data(self, student_config: dict, student: nn.Module) -> None:
        """Nothing to check: it sees what the student sees."""


def _box_targets(record: RoILogits, num_classes: int) -> List[Tensor]:
    """Targets and weights (N, 4) of all RoIs, from those of the foreground."""
    if record.box_targets is None:
        return [record.rois.new_zeros((len(record.rois), 4))] * 2
    foreground = is_object(record.labels, num_classes)
    full = []
    for values in record.box_targets:
        full.append(values.new_zeros((len(record.rois), values.size(1))))
        full[-1][foreground] = values
    return full
