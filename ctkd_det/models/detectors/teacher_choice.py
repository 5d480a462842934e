"""Builds the teacher that a config names: another detector, or the student itself."""
import copy
from typing import Any, Collection, Optional, Type

from mmdet.models.detectors import TwoStageDetector
from torch import nn

from ..distilled_config import REFINED, SELF_TAUGHT, SNAPSHOT, plain_parent
from ..losses.distill_loss import at_least_zero
from ..teachers import FrozenTeacher, RefiningTeacher
from ..teachers.neck_levels import neck_levels


class TeacherChoice:
    """What a config says of the teacher.

    Args:
        teacher_config (Any): See :class:`DistilledDetector`.
        arguments (tuple): Positional ones and those by name with which the
            student is built. A copy is kept: detectors complete what they are
            given.
        teacher_loss_weight (float): See :class:`DistilledDetector`.
        **others: What only another detector takes; None or empty if not
            given.

    Raises:
        ValueError: if a student that teaches itself is given some of these,
            or only a refining teacher takes the weight.
    """

    def __init__(self, teacher_config: Any, arguments: tuple, teacher_loss_weight: float,
                 **others: Any) -> None:
        self.kind: Optional[str] = teacher_config if isinstance(
            teacher_config, str) and teacher_config in SELF_TAUGHT else None
        self.weight = at_least_zero('teacher_loss_weight', teacher_loss_weight)
        if self.weight != 1 and self.kind != REFINED:
            raise ValueError('teacher_loss_weight is the weight of the losses with which a teacher '
                             f'learns, as only that of teacher_config={REFINED!r} does')
        for name, value in others.items() if self.kind else ():
            if value:
                raise ValueError(f'teacher_config={self.kind!r} is the student itself, so '
                                 f'{name}={value!r} says nothing: leave it out')
        self.arguments = copy.deepcopy(arguments) if self.kind else ()

    def needs(self, sources: Collection[str]) -> Collection[str]:
        """What must be recorded of the student, if the losses compare ``sources``."""
        return {*sources, 'neck', 'logits'} if self.kind == REFINED else sources

    def build(self, student: nn.Module, teacher_class: Type[FrozenTeacher], config: Any,
              checkpoint: Optional[str], **options: Any) -> Any:
        """The teacher of a built student.

        Raises:
            ValueError, TypeError, TeacherError, FileNotFoundError: see
                :class:`FrozenTeacher` and :class:`RefiningTeacher`.
        """
        if self.kind == SNAPSHOT:
            args, kwargs = self.arguments
            config = plain_parent(type(student))(*args, **kwargs)
        if self.kind != REFINED:
            return teacher_class(config, checkpoint, student=student, **options)
        if not isinstance(student, TwoStageDetector):
            raise ValueError(f'teacher_config={REFINED!r} has a box head for RoIs, and a '
                             'single-stage student has no RoIs')
        if 'boxes' in options['sources']:
            raise ValueError(f'teacher_config={REFINED!r}: its boxes are not read, so a loss '
                             'between boxes needs another teacher')
        if 'masks' in options['sources']:
            raise ValueError(f'teacher_config={REFINED!r} has no mask head of its own: leave '
                             'MaskKDLoss out')
        for name, default in (('teacher_stage', None), ('teacher_scale', 1), ('compile', False),
                              ('fold', False), ('dtype', None)):
            if options.get(name, default) != default:
                raise ValueError(f'teacher_config={REFINED!r} is the student itself, so '
                                 f'{name}={options[name]!r} says nothing: leave it out')
        roi_head = dict(self.arguments[1]['roi_head'], test_cfg=student.roi_head.test_cfg)
        return RefiningTeacher(student, roi_head, neck_levels(student).channels, self.weight)
