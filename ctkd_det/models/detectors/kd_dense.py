"""A single-stage detector that learns from a frozen teacher's dense classifications."""
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType
from torch import Tensor

from ..taps import DenseLogits, DenseTap
from ..teachers import DenseTeacher
from .distilled import DistilledDetector


@MODELS.register_module()
class KnowledgeDistillationDenseDetector(DistilledDetector, SingleStageDetector):
    """Adds distillation losses to a single-stage detector; otherwise it is one.

    RetinaNet, FCOS, ATSS, GFL and others whose heads compute their losses as
    these do. Every location of every level counts with the weight that the
    student's own classification loss gives it, and the sum is divided by what
    that loss is divided by, the number of positives. These heads end in
    sigmoids: use ``BinaryKDLoss``. What happens in a step:
    :class:`DistilledDetector`.

    Args:
        *args, **kwargs: Those of :class:`mmdet.models.SingleStageDetector`.
        teacher_config (str | Path | dict): Config of the teacher, a
            single-stage detector with the same anchors or points: a path, an
            ``mmdet::`` name, or the config itself.
        teacher_ckpt (str): Its checkpoint, loaded strictly.
        distill_losses (dict[str, dict]): Configs of the losses by name; a
            name is its key in the log and starts with ``loss_``.
        class_mapping (str, optional): 'by_name' if the teacher knows the
            student's classes among others or in another order, see
            :class:`ClassMapping`. Defaults to None.
        inherit (str | Sequence[str]): The student starts with the teacher's
            weights under these names, such as ``['neck', 'bbox_head']``,
            where name and shape agree. Defaults to none.
        eval_teacher (bool): Taken for the sake of mmdet's
            ``KnowledgeDistillationSingleStageDetector``; must be True.
        teacher_compile (bool | dict): Whether the teacher's backbone and neck
            are compiled, see :class:`FrozenTeacher`. Defaults to False.

    Raises:
        ValueError: if a loss is badly named or does not suit the student's
            classifier, or an option is out of its range.
        FileNotFoundError, TeacherError, TypeError: see :class:`DenseTeacher`.
    """

    def __init__(self,
                 *args,
                 teacher_config: Union[str, Path, ConfigType],
                 teacher_ckpt: str,
                 distill_losses: Dict[str, ConfigType],
                 class_mapping: Optional[str] = None,
                 inherit: Union[str, Sequence[str]] = (),
                 eval_teacher: bool = True,
                 teacher_compile: Union[bool, ConfigType] = False,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.set_up_distillation(
            distill_losses,
            lambda: DenseTeacher(
                teacher_config, teacher_ckpt, student=self, class_mapping=class_mapping,
                compile=teacher_compile),
            inherit, eval_teacher)

    def tap(self) -> DenseTap:
        return DenseTap(self.bbox_head)

    def teacher_logits(self, batch_inputs: Tensor, batch_data_samples: SampleList,
                       records: List[DenseLogits]) -> List[Tensor]:
        return [self.teacher.dense_logits(
            batch_inputs, batch_data_samples, record.level_shapes) for record in records]
