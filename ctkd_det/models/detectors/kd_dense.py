"""A single-stage detector that learns from a frozen teacher's dense classifications."""
from typing import List, Optional, Sequence

from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from torch import Tensor

from ..taps import DenseLogits, DenseTap
from ..teachers import DenseTeacher
from .distilled import DistilledDetector


@MODELS.register_module()
class KnowledgeDistillationDenseDetector(DistilledDetector, SingleStageDetector):
    """Adds distillation losses to a single-stage detector; otherwise it is one.

    RetinaNet, FCOS, ATSS, GFL, RTMDet, YOLOX, TOOD and others, see
    :func:`dense_reader`. Every location of every level counts with the weight
    that the student's own classification loss gives it, and the sum is divided
    by what that loss is divided by. Where a head multiplies its classes by an
    objectness (YOLOX, AutoAssign), the logits are those of the product. These
    heads end in sigmoids: use ``BinaryKDLoss``. What happens in a step:
    :class:`DistilledDetector`.

    The arguments and errors are those of :class:`DistilledDetector` and of
    :class:`mmdet.models.SingleStageDetector`.
    """
    teacher_class = DenseTeacher

    def tap(self) -> DenseTap:
        """What records the logits of the head, see :class:`DenseTap`."""
        return DenseTap(self.bbox_head)

    def teacher_logits(self, batch_inputs: Tensor, batch_data_samples: SampleList,
                       records: List[DenseLogits],
                       feats: Optional[Sequence[Tensor]] = None) -> List[Tensor]:
        """The teacher's logits at the recorded locations."""
        return [self.teacher.dense_logits(
            batch_inputs, batch_data_samples, record.level_shapes, feats) for record in records]
