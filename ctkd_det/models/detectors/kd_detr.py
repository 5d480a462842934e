"""DETRs that learn from a frozen teacher's answers to their own queries."""
from typing import List, Optional, Sequence

from mmdet.models.detectors import DABDETR, DINO, ConditionalDETR, DeformableDETR
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from torch import Tensor

from ..queries import QueryLogits, QueryTap
from ..teachers import QueryTeacher
from .distilled import DistilledDetector


class DistilledDETR(DistilledDetector):
    """Adds distillation losses to a DETR; otherwise it is one.

    The student's queries (contents and reference points) go through the
    teacher's decoder, too, see :class:`QueryTeacher`; the logits of both last
    layers are compared, each query with the weight that the student's
    classification loss gives it, and the sum is divided by what that loss is
    divided by. DINO's denoising queries are left out. The heads end in
    sigmoids: use ``BinaryKDLoss``. What happens in a step:
    :class:`DistilledDetector`, whose arguments these are, with those of the
    plain detector.
    """
    teacher_class = QueryTeacher

    def tap(self) -> QueryTap:
        """What records queries and logits, see :class:`QueryTap`."""
        return QueryTap(self)

    def teacher_logits(self, batch_inputs: Tensor, batch_data_samples: SampleList,
                       records: List[QueryLogits],
                       feats: Optional[Sequence[Tensor]] = None) -> List[Tensor]:
        """The teacher's logits of the recorded queries."""
        return [self.teacher.query_logits(batch_inputs, batch_data_samples, record.queries, feats)
                for record in records]


@MODELS.register_module()
class KnowledgeDistillationDeformableDETR(DistilledDETR, DeformableDETR):
    """A Deformable DETR with a teacher, see :class:`DistilledDETR`."""


@MODELS.register_module()
class KnowledgeDistillationDABDETR(DistilledDETR, DABDETR):
    """A DAB-DETR with a teacher, see :class:`DistilledDETR`."""


@MODELS.register_module()
class KnowledgeDistillationConditionalDETR(DistilledDETR, ConditionalDETR):
    """A Conditional DETR with a teacher, see :class:`DistilledDETR`."""


@MODELS.register_module()
class KnowledgeDistillationDINO(DistilledDETR, DINO):
    """A DINO with a teacher, see :class:`DistilledDETR`."""
