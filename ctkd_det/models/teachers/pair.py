"""Decides who may teach whom, on two detectors that are built."""
from typing import Any, Callable, Collection, Optional, Sequence, Union

from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from torch import nn

from ..boxes import (
    DISTRIBUTIONS,
    check_dense_boxes,
    check_regressor,
    check_valuable_region,
    num_bins,
)
from ..building import check_arguments
from ..dense.differences import different_priors
from ..detr_heads import detr_kind, different_queries, is_detr
from ..heads import classifiers, has_sigmoids
from .checkpoint import TeacherError
from .classes import Names, check_number_of_classes, compares_classes
from .cross import CrossHead
from .inherit import inheritable_weights, inherited_heads
from .masks import check_masks
from .neck_levels import check_backbone
from .stages import check_stages

# what compares nothing that heads compute, so that any teacher goes with any student
NECK_LOSSES = 'losses between the necks (PKDLoss, FGDLoss ...)'


def check_pair(student: nn.Module,
               teacher: nn.Module,
               *,
               student_name: str = 'the student',
               teacher_name: str = 'the teacher',
               teacher_classes: Names = None,
               class_mapping: Optional[str] = None,
               teacher_stage: Union[int, str, None] = None,
               inherit: Sequence[str] = (),
               cross_head: Optional[dict] = None,
               sources: Collection[str] = ('logits', )) -> None:
    """See whether the losses between two detectors mean anything.

    Where logits are compared, both must classify the same things (RoIs, or
    the same anchors or points) into the same classes, by the same kind of
    classifier. Where RoI features are, both must classify RoIs. Where boxes
    are, both must regress them at the same places, and distributions over as
    many bins; classes do not matter. Where masks are, both must predict them,
    of the same classes. Where only the maps of the necks are,
    any teacher goes with any student.

    Args:
        student (nn.Module): The detector that learns.
        teacher (nn.Module): The detector that teaches.
        student_name (str): What to call the student in messages.
        teacher_name (str): What to call the teacher.
        teacher_classes (tuple[str], optional): The teacher's class names, for
            the message. Defaults to None, not known.
        class_mapping (str, optional): See :class:`ClassMapping`.
        teacher_stage (int | str, optional): See :func:`teaching_stages`.
        inherit (Sequence[str]): Names of the parts that the student starts
            with, see :func:`inheritable_weights`.
        cross_head (dict, optional): Arguments of a :class:`CrossHead`.
            Defaults to None, the student's logits are its own.
        sources (Collection[str]): What the losses compare, see
            :class:`DistillLoss`. Defaults to logits.

    Raises:
        TeacherError: if this teacher cannot teach this student.
        TypeError: if a head of one of them cannot be distilled.
        ValueError: if an option is out of its range, or does nothing here.
    """
    check_backbone(teacher)
    if 'roi' in sources and kind_of(student) != 'two-stage':
        raise TeacherError(f'{student_name} is no two-stage detector, so it has no RoI features '
                           f'to compare: take {NECK_LOSSES}')
    heads = [()] * 2
    if set(sources) - {'neck'}:
        _check_kinds(student, teacher, student_name, teacher_name)
        heads = students, teachers = [_named(name, classifiers, detector) for detector, name in (
            (student, student_name), (teacher, teacher_name))]
    if 'masks' in sources:
        check_masks(student, teacher, student_name, teacher_name)
    if compares_classes(sources, student):
        _check_classifiers(students[0], teachers[0], student_name, teacher_name)
        check_number_of_classes(class_mapping, teacher_name, teachers[0].num_classes,
                                students[0].num_classes, teacher_classes)
        _check_queries(student, teacher, student_name, teacher_name)
        _check_inherited_classes(inherited_heads(student, teacher, inherit), class_mapping)
    if set(sources) & DISTRIBUTIONS:
        _check_distributions(students[0], teachers[0], student_name, teacher_name, sources)
    if {'boxes', 'all_boxes'} & set(sources):
        check = check_regressor if kind_of(student) == 'two-stage' else check_dense_boxes
        for head, name in [(head, student_name) for head in students] + [
                (head, teacher_name) for head in teachers]:
            _named(name, check, head)
        _check_priors(students[0], teachers[0], student_name, teacher_name, 'boxes')
    if not compares_classes(sources, student) and class_mapping is not None:
        raise ValueError(f'class_mapping={class_mapping!r} says how logits are compared, but no '
                         'loss of distill_losses compares logits')
    _check_crossing(cross_head, kind_of(student), *heads, student_name, teacher_name)
    check_stages(teacher_stage, *heads, kind_of(student), teacher_name, sources)
    inheritable_weights(student, teacher, inherit)


def kind_of(detector: nn.Module) -> str:
    """'two-stage', 'single-stage', a DETR's kind, or for any other the name of its class."""
    if isinstance(detector, TwoStageDetector):
        return 'two-stage'
    if is_detr(detector):
        return detr_kind(detector)
    return ('single-stage' if isinstance(detector, SingleStageDetector)
            else type(detector).__name__)


def _check_kinds(student: nn.Module, teacher: nn.Module, student_name: str,
                 teacher_name: str) -> None:
    kinds = [kind_of(detector) for detector in (student, teacher)]
    if kinds[0] != kinds[1]:
        raise TeacherError(
            f'{student_name} is a {kinds[0]} detector, {teacher_name} a {kinds[1]} one: what one '
            f'classifies, the other does not. Take a {kinds[0]} teacher, or {NECK_LOSSES}')


def _named(name: str, check: Callable[[nn.Module], Any], module: nn.Module) -> Any:
    """What a check says of a detector or head; a TypeError gets its name, and what to take."""
    try:
        return check(module)
    except TypeError as error:
        raise TypeError(f'{name}: {error}. Take another detector, or {NECK_LOSSES}') from None


def _check_classifiers(student: nn.Module, teacher: nn.Module, student_name: str,
                       teacher_name: str) -> None:
    """Whether two heads classify the same things, in the same way."""
    sigmoids = [has_sigmoids(head) for head in (student, teacher)]
    if sigmoids[0] != sigmoids[1]:
        ends = ['sigmoids' if each else 'a softmax' for each in sigmoids]
        raise TeacherError(
            f'the classifier of {student_name} ends in {ends[0]} (use_sigmoid={sigmoids[0]}), that '
            f'of {teacher_name} in {ends[1]} (use_sigmoid={sigmoids[1]}): their logits say '
            f'different things. Take a teacher whose classifier ends in {ends[0]}, or '
            f'{NECK_LOSSES}')
    _check_priors(student, teacher, student_name, teacher_name, 'logits')


def _check_priors(student: nn.Module, teacher: nn.Module, student_name: str, teacher_name: str,
                  compared: str, shifted: bool = True) -> None:
    different = hasattr(student, 'prior_generator') and different_priors(teacher, student, shifted)
    if different:
        raise TeacherError(f'{teacher_name} has other anchors or points than {student_name}, '
                           f'{different}, so their {compared} cannot be compared: take a teacher '
                           f'with the same ones, as most of the same family have, or {NECK_LOSSES}')


def _check_distributions(student: nn.Module, teacher: nn.Module, student_name: str,
                         teacher_name: str, sources: Collection[str]) -> None:
    bins = []
    for head, name in ((student, student_name), (teacher, teacher_name)):
        bins.append(_named(name, num_bins, head))
        if 'vlr' in sources and head is student:
            _named(name, check_valuable_region, head)
    if bins[0] != bins[1]:
        raise TeacherError(f'the box distributions of {student_name} have {bins[0]} bins '
                           f'(reg_max={bins[0] - 1}), those of {teacher_name} {bins[1]}: take a '
                           f'teacher with as many, or {NECK_LOSSES}')
    # they are distances from the middle of the anchor; other boxes are compared in pixels
    _check_priors(student, teacher, student_name, teacher_name, 'boxes', shifted=False)


def _check_queries(student: nn.Module, teacher: nn.Module, student_name: str,
                   teacher_name: str) -> None:
    different = is_detr(student) and different_queries(student, teacher)
    if different:
        raise TeacherError(f'{teacher_name} cannot answer the queries of {student_name}, '
                           f'{different}: take a teacher with the same, or {NECK_LOSSES}')


def _check_crossing(cross_head: Optional[dict], kind: str, students: Sequence[nn.Module],
                    teachers: Sequence[nn.Module], student_name: str, teacher_name: str) -> None:
    if cross_head is None:
        return
    if kind != 'single-stage':
        raise TeacherError(f'{student_name} is a {kind} detector: only the heads of single-stage '
                           'ones can be crossed (RetinaNet, FCOS, ATSS, GFL, RTMDet ...). Take '
                           'another method, or leave cross_head out')
    if not students:
        raise ValueError(f'cross_head={dict(cross_head)} says whose predictions are compared, but '
                         'no loss of distill_losses compares predictions')
    check_arguments(CrossHead, cross_head, 'cross_head')
    CrossHead(students[0], teachers[0], student_name, teacher_name, **cross_head)


def _check_inherited_classes(heads: Sequence[str], class_mapping: Optional[str]) -> None:
    if heads and class_mapping is not None:
        raise ValueError(f"inherit: {heads} would bring the teacher's order of classes, which "
                         'class_mapping says may be another; inherit backbone, neck or rpn_head '
                         'only')
