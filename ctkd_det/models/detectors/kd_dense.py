"""A single-stage detector that learns from a frozen teacher's dense classifications."""
from typing import List, Optional, Sequence

from mmdet.models.dense_heads import RTMDetHead
from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmengine.dist import get_world_size
from torch import Tensor, nn

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

    Args:
        *args, **kwargs: Those of :class:`DistilledDetector` and of
            :class:`mmdet.models.SingleStageDetector`.
        use_syncbn (bool): Whether an RTMDet that is trained on several ranks
            gets SyncBN, as :class:`mmdet.models.RTMDet` gives it to itself.
            Other heads take no such argument. Defaults to True.

    Raises:
        TypeError: if ``use_syncbn`` is given with another head.
        ValueError, FileNotFoundError, TeacherError, TypeError: see
            :class:`DistilledDetector`.
    """
    teacher_class = DenseTeacher

    def __init__(self, *args, use_syncbn: Optional[bool] = None, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.bbox_head, RTMDetHead):
            if use_syncbn is not False and get_world_size() > 1:
                for part in (self.backbone, self.neck, self.bbox_head):
                    nn.SyncBatchNorm.convert_sync_batchnorm(part)
        elif use_syncbn is not None:
            raise TypeError(f'model: use_syncbn={use_syncbn} is an argument of RTMDet, and the '
                            f'head is a {type(self.bbox_head).__name__}; for other detectors '
                            "write sync_bn='torch' beside model")

    def tap(self) -> DenseTap:
        """What records the logits of the head, see :class:`DenseTap`."""
        return DenseTap(self.bbox_head)

    def teacher_logits(self, batch_inputs: Tensor, batch_data_samples: SampleList,
                       records: List[DenseLogits],
                       feats: Optional[Sequence[Tensor]] = None) -> List[Tensor]:
        """The teacher's logits at the recorded locations."""
        return [self.teacher.dense_logits(
            batch_inputs, batch_data_samples, record.level_shapes, feats) for record in records]
