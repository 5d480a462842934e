"""A single-stage detector that learns from a frozen teacher's dense classifications."""
from contextlib import contextmanager, nullcontext
from typing import Iterator, List, Optional, Sequence

from mmdet.models.dense_heads import RTMDetHead
from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmengine.dist import get_world_size
from torch import Tensor, nn

from ..boxes import DISTRIBUTIONS, dense_box_side, distribution_side
from ..taps import DenseLogits, DenseTap
from ..teachers import DenseTeacher
from ..towers import TowerCut
from .distilled import DistilledDetector
from .graphs import check_crossing
from .masks import dense_mask_sides


@MODELS.register_module()
class KnowledgeDistillationDenseDetector(DistilledDetector, SingleStageDetector):
    """Adds distillation losses to a single-stage detector; otherwise it is one.

    RetinaNet, FCOS, ATSS, GFL, RTMDet, YOLOX, TOOD and others, see
    :func:`dense_reader`. Every location of every level counts with the weight
    that the student's own classification loss gives it, and the sum is divided
    by what that loss is divided by. Where a head multiplies its classes by an
    objectness (YOLOX, AutoAssign), the logits are those of the product. These
    heads end in sigmoids: use ``BinaryKDLoss``; ``LDLoss`` compares the box
    distributions of GFL. What happens in a step: :class:`DistilledDetector`.

    With ``cross_head`` it is CrossKD: the student's logits and box distributions in
    the distillation losses are no longer its own, but what the rest of the
    teacher's head makes of its features, see :class:`CrossHead`.

    Args:
        *args, **kwargs: Those of :class:`DistilledDetector` and of
            :class:`mmdet.models.SingleStageDetector`.
        cross_head (dict, optional): ``layer`` and ``align`` of a
            :class:`CrossHead`; an empty dict takes the defaults. Defaults to
            None, no crossing.
        use_syncbn (bool): Whether an RTMDet that is trained on several ranks
            gets SyncBN, as :class:`mmdet.models.RTMDet` gives it to itself.
            Other heads take no such argument. Defaults to True.

    Raises:
        TypeError: if ``use_syncbn`` is given with another head.
        ValueError, FileNotFoundError, TeacherError, TypeError: see
            :class:`DistilledDetector` and :class:`CrossHead`.
    """
    teacher_class = DenseTeacher
    sources = ('logits', 'neck', 'distributions', 'vlr', 'boxes', 'all_boxes', 'masks')

    def __init__(self, *args, cross_head: Optional[dict] = None,
                 use_syncbn: Optional[bool] = None, **kwargs) -> None:
        super().__init__(*args, teacher_options=dict(cross_head=cross_head), **kwargs)
        if isinstance(self.bbox_head, RTMDetHead):
            if use_syncbn is not False and get_world_size() > 1:
                for part in (self.backbone, self.neck, self.bbox_head):
                    nn.SyncBatchNorm.convert_sync_batchnorm(part)
        elif use_syncbn is not None:
            raise TypeError(f'model: use_syncbn={use_syncbn} is an argument of RTMDet, and the '
                            f'head is a {type(self.bbox_head).__name__}; for other detectors '
                            "write sync_bn='torch' beside model")

    @contextmanager
    def tap(self) -> Iterator[List[DenseLogits]]:
        """What records the logits of the head, see :class:`DenseTap`, and of its towers the maps.
        """
        cross = self.teacher.cross
        cut = TowerCut(self.bbox_head, cross.layer).heard() if cross else nullcontext([])
        with cut as maps, DenseTap(self.bbox_head) as records:
            yield records
        for record in records:
            record.tower_maps = maps

    def teacher_logits(self, batch_inputs: Tensor, batch_data_samples: SampleList,
                       records: List[DenseLogits],
                       feats: Optional[Sequence[Tensor]] = None) -> List[Tensor]:
        """The teacher's logits at the recorded locations.

        With a crossed head the student's become those of its maps in the
        teacher's head.
        """
        for record in records:
            record.teacher_outputs = self.teacher.dense_outputs(
                batch_inputs, batch_data_samples, record.level_shapes, feats)
            cross = self.teacher.cross
            if cross:
                check_crossing(record, self.compared, cross.layer)
                record.crossed_outputs = cross(record.tower_maps)
                record.cls_score = self.teacher.dense_logits(record.crossed_outputs)
        return [self.teacher.dense_logits(record.teacher_outputs) for record in records]

    def box_sides(self, batch_data_samples: SampleList, records: List[DenseLogits],
                  source: str) -> List[dict]:
        """What losses between boxes or their distributions compare.

        See :func:`distribution_side` and :func:`dense_box_side`.
        """
        if source in DISTRIBUTIONS:
            sides = [distribution_side(self.bbox_head, record, batch_data_samples, source)
                     for record in records]
        else:
            sides = [dense_box_side(self.bbox_head, self.teacher_model.bbox_head, record, source,
                                    self.teacher.dense_logits(record.teacher_outputs))
                     for record in records]
        self.teacher.check_answers('boxes', [side['teacher'] for side in sides])
        return sides

    def mask_sides(self, batch_data_samples: SampleList, records: List[DenseLogits],
                   feats: Sequence[Tensor]) -> List[dict]:
        """What losses between masks compare, see :func:`dense_mask_sides`."""
        return dense_mask_sides(self.bbox_head, self.teacher_model.bbox_head, records)
