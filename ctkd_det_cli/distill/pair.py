"""Builds student and teacher and checks that they fit, before anything is written."""
import re
from pathlib import Path
from typing import Collection, Optional, Tuple

import click
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from torch import nn

from ctkd_det.compat.reading import CheckpointError, read_checkpoint
from ctkd_det.configs import detector_config, registered_class
from ctkd_det.models.detectors import distilled_class
from ctkd_det.models.distilled_config import plain_parent
from ctkd_det.models.heads import classifiers, num_classes
from ctkd_det.models.levels import LevelMatch
from ctkd_det.models.teachers import TeacherError, check_pair
from ctkd_det.models.teachers.checkpoint import OTHER_CHECKPOINT, classes_of_checkpoint
from ctkd_det.models.teachers.classes import OTHER_TEACHER
from ctkd_det.models.teachers.normalisation import normalisation, pipeline_of
from ctkd_det.models.teachers.pair import NECK_LOSSES
from ..mistakes import sentence
from .zoo import Source

# arguments of the distilled detector that the command has as options, as messages write them
_ARGUMENT = re.compile(r"\b(class_mapping|inherit|teacher_stage)(?:=(['\"]?)(\w+)\2)?")

# what messages call losses between the necks, as the command takes them
NECK_METHODS = 'a method that compares the necks only (--method pkd, fgd ...)'
# the end of what messages on classes advise
FORGOTTEN = ('; or give --data FOLDER, if the student is to learn from other data than its config '
             'says')
# tests compare it with docs/detectors.md
SUPPORTED = ('What can be distilled: Faster, Mask, Cascade, Cascade Mask, Dynamic, Libra, '
             'Double-Head, PISA, Grid R-CNN, GRoIE; RetinaNet, FCOS, ATSS, GFL, RTMDet, '
             'RTMDet-Ins, YOLOX, TOOD, VFNet, PAA, DDOD, YOLOF, AutoAssign; Deformable DETR, '
             'DAB-DETR, Conditional DETR, DINO')


def distilled_type(student: Source) -> type:
    """The detector that a distillation makes of the student.

    Raises:
        click.ClickException: if there is none.
    """
    name = student.config.get('model', {}).get('type')
    plain = registered_class(MODELS, name) if name else None
    if plain is None:
        raise click.ClickException(f'{student.path} is {f"a {name}" if name else "no model"}: '
                                   f'only detectors can be distilled. {SUPPORTED}')
    try:
        return distilled_class(plain)
    except TypeError as error:
        raise click.ClickException(f'the student {student.path}: {error}. {SUPPORTED}') from error


def build_student(student: Source, changes: dict, classifies: bool = True) -> nn.Module:
    """Build it, with random weights, as the detector that its distillation extends.

    Args:
        student (Source): Its config.
        changes (dict): What to merge into ``model`` first.
        classifies (bool): Whether a loss compares what its heads compute.
            Defaults to True.

    Raises:
        click.ClickException: if it cannot be built or distilled.
    """
    model = detector_config(student.config)
    model.merge(dict(changes, type=plain_parent(distilled_type(student)).__name__))
    built = _build(model, f'the student {student.path}')
    try:
        if classifies:
            classifiers(built)
        normalisation(built.data_preprocessor, pipeline_of(student.config),
                      f'the student {student.path}')
    except TypeError as error:
        raise click.ClickException(f'the student {student.path}: {error}. Take another, or '
                                   f'{NECK_METHODS}. {SUPPORTED}') from error
    except TeacherError as error:
        raise click.ClickException(str(error)) from error
    return built


def check_teacher(student: nn.Module, student_path: Path, teacher: Source, weights: str, *,
                  sources: Collection[str], own_data: bool, class_mapping: Optional[str] = None,
                  **options) -> None:
    """See whether the teacher, as its config builds it, can teach the student.

    Args:
        student (nn.Module): As it will be trained.
        student_path (Path): Its config, for messages.
        teacher (Source): The teacher's config.
        weights (str): A path or URL.
        sources (Collection[str]): What the losses compare.
        own_data (bool): See :func:`as_options`.
        class_mapping (str, optional): See :func:`check_pair`.
        **options: See :func:`check_pair`.

    Raises:
        click.ClickException: if not, with the reason.
    """
    name = f'the teacher {teacher.path}'
    model = _build(detector_config(teacher.config), name)
    try:
        check_pair(student, model, student_name=f'the student {student_path}', teacher_name=name,
                   sources=sources, class_mapping=class_mapping,
                   teacher_classes=_stated_classes(weights) if num_classes(
                       model) != num_classes(student) else None, **options)
        if 'neck' in sources:
            LevelMatch(student, model)  # refuses necks without a common level
        normalisation(model.data_preprocessor, pipeline_of(teacher.config), name)
    except (TeacherError, TypeError, ValueError) as error:
        raise click.ClickException(as_options(str(error), own_data)) from error


def _stated_classes(weights: str) -> Optional[Tuple[str, ...]]:
    """The names of classes in a checkpoint; None if that states none, or cannot be read here."""
    try:
        return classes_of_checkpoint(read_checkpoint(Path(weights)))
    except (CheckpointError, OSError, ValueError):  # loading it says what is wrong
        return None


def as_options(text: str, own_data: bool) -> str:
    """What a message says of the detector's arguments, in terms of the command.

    Args:
        text (str): The message.
        own_data (bool): Whether ``--data`` was given; if not, other classes
            may be those of data that are missing.
    """
    for advice in () if own_data else (OTHER_TEACHER, OTHER_CHECKPOINT):
        text = text.replace(advice, advice + FORGOTTEN)
    return _ARGUMENT.sub(_as_option, text).replace(NECK_LOSSES, NECK_METHODS)


def _as_option(argument: re.Match) -> str:
    """``class_mapping='by_name'`` as ``--class-mapping by_name``."""
    name, _, value = argument.groups()
    return f'--{name.replace("_", "-")}' + (f' {value}' if value else '')


def _build(model: dict, name: str) -> nn.Module:
    init_default_scope('mmdet')
    try:
        return MODELS.build(model)
    except Exception as error:  # a user's model may fail in any way there is
        raise click.ClickException(f'{name} cannot be built: {sentence(error)}') from error
