"""Whether the length of a training, its data and its hooks suit what is distilled."""
import ast
import logging
from typing import Mapping, Optional, Sequence

from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.logging import MessageHub, print_log
from torch import nn

from ...literal_config import parse_literals
from ..distilled_config import SNAPSHOT
from ..losses import DistillLoss


def check_start(student: nn.Module, training: MessageHub) -> None:
    """Check the length of the training, its data and its hooks.

    Args:
        student (DistilledDetector): The distilled detector.
        training (MessageHub): See :meth:`OwnTraining.now`.

    Raises:
        ValueError: if a loss would never be active, a snapshot is to teach
            and no hook takes snapshots, or a loss rotates images on several
            ranks while the student checkpoints activations.
        TeacherError: see :func:`check_data`.
    """
    _check_windows(student.distill_losses, training)
    _check_second_look(student)
    teacher = student.teacher
    if teacher.is_snapshot and teacher.snapshots is None:
        raise ValueError(f'teacher_config={SNAPSHOT!r}: nothing takes the snapshots; add '
                         "dict(type='SnapshotHook', cycle=...) to custom_hooks")
    text = training.get_info('cfg', '')
    # few normalise in the pipeline; reading takes a while. Nothing of it is run, and no
    # normalisation is in what stays a text
    cfg = Config(parse_literals(text, other=ast.unparse)) if 'Normalize' in text else None
    check_data(student, training.get_info('dataset_meta', {}).get('classes'), cfg)


def check_data(student: nn.Module, classes: Optional[Sequence[str]],
               cfg: Optional[Config]) -> None:
    """Check that the teacher can teach on the student's data.

    Args:
        student (DistilledDetector): The distilled detector.
        classes (Sequence[str], optional): Names of the data set's classes.
        cfg (Config, optional): Of the training; None if its pipeline does not
            normalise.

    Raises:
        TeacherError: if the teacher does not know the classes of the data, or
            its normalisation cannot be met.
    """
    student.teacher.check_classes(classes)
    if cfg is not None:
        student.teacher.check_data(cfg, student)
    _check_inherited_backbone(student)


def _check_inherited_backbone(student: nn.Module) -> None:
    """Warn if an inherited backbone gets images normalised otherwise than the teacher's."""
    if any(name.split('.')[0] == 'backbone' for name in student.inherit):
        convert = student.teacher.convert
        if not convert.identical:
            print_log(
                'inherit: the backbone was trained on images that are normalised otherwise. The '
                f"teacher's: {convert.teacher}. The student's: {convert.student}. Give the student "
                "the teacher's, or do not inherit the backbone",
                logger='current', level=logging.WARNING)


def _check_second_look(student: nn.Module) -> None:
    """DDP cannot count the gradients of a checkpointed backbone that runs twice in a step."""
    rotated = [name for name, loss in student.distill_losses.items() if loss.rotated]
    if rotated and get_world_size() > 1 and any(
            getattr(module, 'with_cp', False) for module in student.modules()):
        raise ValueError(f'{rotated[0]} rotates the images, so the student looks at them twice in '
                         'a step. With with_cp=True that fails on several GPUs: set it to False, '
                         'or train on one')


def _check_windows(losses: Mapping[str, DistillLoss], training: MessageHub) -> None:
    lengths = [training.get_info(key) for key in ('max_iters', 'max_epochs')]
    for name, loss in losses.items():
        window = loss.window
        if loss.loss_weight > 0 and not window.opens(*lengths):
            raise ValueError(
                f'{name}: its window, begin={window.begin} and end={window.end}, leaves nothing of '
                f'a training of {lengths[window.by_epoch]} '
                f'{"epochs" if window.by_epoch else "iterations"}, so it would never be active. '
                'Give both as parts of the training, as begin=0.5, or leave the loss out')
