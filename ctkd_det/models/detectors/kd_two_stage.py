"""A two-stage detector that learns from a frozen teacher's RoI classifications."""
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType
from torch import Tensor

from ..heads import num_logits
from ..taps import RoILogits, RoITap
from ..teachers import RoITeacher
from .distilled import DistilledDetector


@MODELS.register_module()
class KnowledgeDistillationTwoStageDetector(DistilledDetector, TwoStageDetector):
    """Adds distillation losses to a two-stage detector; otherwise it is one.

    Student and teacher may be any of those that :func:`roi_stages` names, each
    of another kind. What happens in a step: :class:`DistilledDetector`.

    Args:
        *args, **kwargs: Those of :class:`mmdet.models.TwoStageDetector`.
        teacher_config (str | Path | dict): Config of the teacher: a path, an
            ``mmdet::`` name, or the config itself.
        teacher_ckpt (str): Its checkpoint, loaded strictly.
        distill_losses (dict[str, dict]): Configs of the losses by name; a
            name is its key in the log and starts with ``loss_``.
        teacher_stage (int | str, optional): Which stage of a cascade teaches,
            see :class:`RoITeacher`.
        teacher_scale (float): Factor from the student's image size to that at
            which the teacher looks. Defaults to 1.
        class_mapping (str, optional): 'by_name' if the teacher knows the
            student's classes among others or in another order, see
            :class:`ClassMapping`. Defaults to None.
        inherit (str | Sequence[str]): The student starts with the teacher's
            weights under these names, such as ``['neck', 'rpn_head']``, where
            name and shape agree. Defaults to none.
        eval_teacher (bool): Taken for the sake of mmdet's
            ``KnowledgeDistillationSingleStageDetector``; must be True.
        teacher_compile (bool | dict): Whether the teacher's backbone and neck
            are compiled, see :class:`FrozenTeacher`. Defaults to False.

    Raises:
        ValueError: if a loss is badly named or does not suit the student's
            classifier, or an option is out of its range.
        FileNotFoundError, TeacherError, TypeError: see :class:`RoITeacher`.
    """

    def __init__(self,
                 *args,
                 teacher_config: Union[str, Path, ConfigType],
                 teacher_ckpt: str,
                 distill_losses: Dict[str, ConfigType],
                 teacher_stage: Union[int, str, None] = None,
                 teacher_scale: float = 1.0,
                 class_mapping: Optional[str] = None,
                 inherit: Union[str, Sequence[str]] = (),
                 eval_teacher: bool = True,
                 teacher_compile: Union[bool, ConfigType] = False,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.set_up_distillation(
            distill_losses,
            lambda: RoITeacher(
                teacher_config, teacher_ckpt, student=self, class_mapping=class_mapping,
                teacher_stage=teacher_stage, teacher_scale=teacher_scale, compile=teacher_compile),
            inherit, eval_teacher)

    def tap(self) -> RoITap:
        return RoITap(self.roi_head)

    @property
    def stage_weights(self) -> Sequence[float]:
        """Sequence[float]: ``stage_loss_weights`` of a cascade."""
        return getattr(self.roi_head, 'stage_loss_weights', [1.0])

    def complete(self, records: List[RoILogits], like: Tensor) -> List[RoILogits]:
        """Without any RoI mmdet skips the loss: stand in with empty tensors.

        So every rank still has every parameter in its graph, the classifier's
        among them, and counts no RoI in the mean over all ranks.
        """
        for record, head in zip(records, self.teacher.heads(self), strict=True):
            if record.cls_score is None:
                nothing = sum(p.sum() * 0 for p in head.parameters())
                record.cls_score = like.new_zeros((0, num_logits(head))) + nothing
                record.labels = like.new_zeros((0, ), dtype=torch.long)
                record.label_weights, record.avg_factor = like.new_zeros((0, )), 0.0
                record.rois = like.new_zeros((0, 5))
        return records

    def teacher_logits(self, batch_inputs: Tensor, batch_data_samples: SampleList,
                       records: List[RoILogits]) -> List[Tensor]:
        return self.teacher.roi_logits(
            batch_inputs, batch_data_samples, [record.rois for record in records])
