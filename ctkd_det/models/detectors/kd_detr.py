"""DETRs that learn from a frozen teacher: both decoders answer the same queries."""
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

import torch
from mmdet.models.detectors import DABDETR, DINO, ConditionalDETR, DeformableDETR
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from torch import Tensor

from ..detr_heads import points_argument, whose_queries
from ..losses.draws import Draws
from ..queries import QueryLogits, QueryTap, answer, queries_in, rows
from ..teachers import QueryTeacher
from .distilled import DistilledDetector


class DistilledDETR(DistilledDetector):
    """Adds distillation losses to a DETR; otherwise it is one.

    Both decoders answer the same queries (contents and reference points), see
    :class:`QueryTeacher`; the logits of both last layers are compared, and the
    sum over queries is divided by what the student's classification loss is
    divided by. DINO's denoising queries are left out. The heads end in
    sigmoids: use ``BinaryKDLoss``. What happens in a step:
    :class:`DistilledDetector`.

    Args:
        *args, **kwargs: Those of :class:`DistilledDetector` and of the plain
            detector.
        distilled_queries (str | Sequence[str]): Whose queries both answer. Of
            several the losses are added. Defaults to 'student'.

            - 'student': its own, of which each counts as in its own
              classification loss. The teacher's decoder runs once, the
              student's not again.
            - 'teacher': the teacher's, KD-DETR's specific sampling. The
              student's decoder runs again for them. Each counts as much as
              the teacher is sure of an object there, its largest probability,
              KD-DETR's foreground rebalance weight. Labels are those that the
              student's assigner gives to the teacher's answers.
            - 'random': the teacher's contents at places that are drawn
              uniformly in each step, KD-DETR's general sampling; weights and
              labels as for 'teacher'. Of DAB-DETR and DINO, whose queries are
              a content and a box; those of the others are learned vectors.

    Raises:
        ValueError: if ``distilled_queries`` is none of these, or 'random' is
            asked of another decoder.
        FileNotFoundError, TeacherError, TypeError, ValueError: see
            :class:`DistilledDetector`.
    """
    teacher_class = QueryTeacher

    def __init__(self, *args, distilled_queries: Union[str, Sequence[str]] = 'student',
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.distilled_queries = whose_queries(self, distilled_queries)
        if 'random' in self.distilled_queries:
            self.query_draws = Draws()

    def tap(self) -> QueryTap:
        """What records queries and logits, see :class:`QueryTap`."""
        return QueryTap(self)

    def teacher_logits(self, batch_inputs: Tensor, batch_data_samples: SampleList,
                       records: List[QueryLogits],
                       feats: Optional[Sequence[Tensor]] = None) -> List[Tensor]:
        """The teacher's logits of the queries; the records become those of the same queries."""
        record, = records
        own = record.queries if 'student' in self.distilled_queries else {}
        inputs, *first = self.teacher.look(batch_inputs, batch_data_samples, own, feats)
        parts = [(first[0], record)] if own else []
        for whose in self.distilled_queries:
            if whose == 'student':
                continue
            queries = queries_in(self.teacher_model.decoder, inputs)
            if whose == 'random':
                queries = self._elsewhere(queries)
            answered = first  # to its own queries, if it was not asked the student's
            if own or whose == 'random':
                answered = self.teacher.answer(inputs, queries)
            parts.append((answered[0], self._answer(record, queries, *answered,
                                                    batch_data_samples)))
        record.cls_score, record.labels, record.label_weights = (
            torch.cat([getattr(part, name) for _, part in parts])
            for name in ('cls_score', 'labels', 'label_weights'))
        return [torch.cat([rows(scores) for scores, _ in parts])]

    def _answer(self, record: QueryLogits, queries: Mapping[str, Tensor], scores: Tensor,
                boxes: Tensor, batch_data_samples: SampleList) -> QueryLogits:
        """What the student says of queries to which the teacher says ``scores`` and ``boxes``."""
        labels = self.bbox_head.get_targets(
            list(scores), list(boxes), [sample.gt_instances for sample in batch_data_samples],
            [sample.metainfo for sample in batch_data_samples])[0]
        return QueryLogits(
            cls_score=rows(answer(self, record.decoder_inputs, queries)[0]),
            labels=torch.cat(labels), label_weights=rows(scores).sigmoid().amax(1))

    def _elsewhere(self, queries: Dict[str, Tensor]) -> Dict[str, Any]:
        name, as_logits = points_argument(self)
        places = self.query_draws(queries[name].shape, queries[name].device)
        if as_logits:
            places = torch.logit(places, eps=1e-3)
        return {**queries, name: places}


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
