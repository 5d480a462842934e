"""The frozen teacher: held, checked, shown the student's images."""
import copy
from pathlib import Path
from typing import Callable, Collection, Mapping, Optional, Sequence, Set, Union

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModel
from torch import Tensor

from ...configs import detector_config, read_config
from ..distilled_config import is_beside_student, is_distilled
from ..heads import num_classes
from ..rotation import rotate_images
from .cheaper import autocast, check_dtype, fold
from .checkpoint import TeacherError, load_strictly
from .classes import classes_of_config, different_classes
from .compilation import compiled
from .inherit import inherited_heads
from .inputs import InputConverter, InputScale
from .normalisation import check_trained_so, normalisation, pipeline_of
from .padding import NeckPadding
from .pair import check_pair


class FrozenTeacher:
    """A trained detector that shows its features of the student's images.

    Not an ``nn.Module``: so its weights are in nobody's ``parameters()``,
    ``state_dict()``, optimizer or DDP buckets, and ``train()`` does not reach
    it. Copies of the student (EMA) share it.

    Args:
        config (str | Path | dict | BaseModel): The teacher's config: a path,
            an ``mmdet::`` name, or the config itself. Or a detector that is
            built as the student is: it is given the student's own weights,
            see :meth:`take_snapshot`, and teaches nothing before.
        checkpoint (str, optional): Its weights, loaded strictly; None for a
            snapshot of the student.
        student (BaseModel): The detector that will learn from it.
        inherit (Sequence[str]): Names of the parts of it that the student
            starts with. Defaults to none.
        compile (bool | dict): Whether its backbone and neck go through
            ``torch.compile``; a dict is that function's options. Its head
            does not: the number of RoIs changes. Defaults to False.
        fold (bool): Whether the batch norms of its backbone and neck are
            folded into the convolutions, and the channels stored last, see
            :func:`fold`. Defaults to False.
        dtype (str, optional): 'bfloat16' or 'float16': backbone and neck run
            under autocast; their maps come in float32. Defaults to None.
        teacher_scale (float): Factor from the student's image size to that at
            which the teacher looks. Defaults to 1.
        sources (Collection[str]): What the losses compare, see
            :func:`check_pair`. Defaults to the maps of the necks.
        **pair_options: Further arguments of :func:`check_pair`.

    Raises:
        FileNotFoundError, TeacherError: see :func:`load_strictly`.
        TeacherError, TypeError, ValueError: see :func:`check_pair`.
        TeacherError: see :func:`check_trained_so`.
        ValueError: if ``teacher_scale`` or ``dtype`` is out of range, or a
            snapshot, whose weights change, is to be folded.
    """

    # whether it is trained along with the student
    learns = False
    # how many maps it shows, from the finest on; None: all of its neck's
    num_maps: Optional[int] = None

    def __init__(self, config: Union[str, Path, dict, BaseModel], checkpoint: Optional[str],
                 student: BaseModel, inherit: Sequence[str] = (),
                 compile: Union[bool, dict] = False, fold: bool = False,
                 dtype: Optional[str] = None, teacher_scale: float = 1.0,
                 sources: Collection[str] = ('neck', ), **pair_options) -> None:
        self.is_snapshot = isinstance(config, BaseModel)
        # how many snapshots it was given; None: nobody takes any
        self.snapshots: Optional[int] = None
        if not self.is_snapshot and not checkpoint:
            raise TeacherError('teacher_ckpt is missing: a teacher without trained weights '
                               'would teach noise')
        if self.is_snapshot and fold:
            raise ValueError("teacher_fold: a snapshot's weights change, so there is nothing to "
                             'fold once and for all: leave it out')
        config = config if self.is_snapshot else _read(config)
        self.model = config if self.is_snapshot else MODELS.build(detector_config(config))
        if any(p.is_meta for p in self.model.parameters()):
            raise TeacherError('the detector is built without memory for its weights '
                               '(skip_init_weights=True?), so the teacher cannot load its own')
        self.name, self.classes, trained_by = "the student's snapshot", None, ''
        if not self.is_snapshot:
            self.name = f'teacher {checkpoint}'
            self.classes, trained_by = load_strictly(self.model, checkpoint)
            self.classes = self.classes or classes_of_config(config, num_classes(self.model))
        check_pair(student, self.model, teacher_name=self.name, teacher_classes=self.classes,
                   inherit=inherit, sources=sources, **pair_options)
        self.inherited_heads = inherited_heads(student, self.model, inherit)
        self.model.requires_grad_(False).eval()
        self.follows = True
        self.answers_checked: Set[str] = set()
        self.convert = InputConverter(
            normalisation(student.data_preprocessor, (), 'the student'),
            normalisation(self.model.data_preprocessor,
                          () if self.is_snapshot else pipeline_of(config), self.name))
        check_trained_so(self.convert.teacher, trained_by, self.name)
        self.scale = InputScale(teacher_scale, self.model.data_preprocessor)
        self.padding = NeckPadding(self.model, student if teacher_scale == 1 else None)
        self.fold, self.dtype = fold, check_dtype(dtype)
        self.extract_feat = self.model.extract_feat
        if compile is not False:
            self.extract_feat = compiled(self.extract_feat, {} if compile is True else compile)

    def __deepcopy__(self, memo: dict) -> 'FrozenTeacher':
        """The same detector for a copy of the student, which must not move it."""
        shared = copy.copy(self)
        shared.follows = False
        return shared

    def follow(self, fn: Callable) -> None:
        """Follow the student's ``to``, ``cuda``, ``half`` ..."""
        if self.follows:
            self.model._apply(fn)

    @property
    def ready(self) -> bool:
        """bool: Whether it has something to teach: a snapshot must have been taken first."""
        return not self.is_snapshot or bool(self.snapshots)

    def take_snapshot(self, weights: Mapping[str, Tensor]) -> None:
        """Be what the student is now.

        Args:
            weights (dict[str, Tensor]): A ``state_dict`` of the student; what
                its losses learn is left out. The values are copied.

        Raises:
            RuntimeError: if they are not the weights of such a detector.
        """
        self.model.load_state_dict(
            {key: value for key, value in weights.items() if not is_beside_student(key)})
        self.snapshots = (self.snapshots or 0) + 1

    @torch.no_grad()
    def features(self, images: Tensor, batch_data_samples: Sequence,
                 turns: int = 0) -> Sequence[Tensor]:
        """Its neck's features of images that are normalised for the student.

        Args:
            images (Tensor): (B, 3, H, W).
            batch_data_samples (Sequence[DetDataSample]): Of length B.
            turns (int): Quarter turns by which it looks at them rotated, see
                :func:`rotate_images`. Defaults to 0.
        """
        images = rotate_images(self.prepare(images, batch_data_samples), turns)
        weight = next(self.model.parameters())
        # FSDP moves and casts parameters behind `_apply`: meet the student where it is
        if weight.device != images.device:
            self.model.to(images.device)
        images = images.to(weight.dtype)
        padded = self.padding.images(images)
        if self.fold:  # no earlier: the student inherits weights by their names
            fold(self.model, padded, self.name)
            self.fold = False
        with autocast(self.dtype, images.device):
            maps = self.padding.maps(self.extract_feat(padded), images)
        return [x.to(weight.dtype) for x in maps] if self.dtype else maps

    def check_answers(self, kind: str, answers: Sequence[Tensor]) -> None:
        """Look once, at its first batch, whether what it says is finite.

        Args:
            kind (str): What they are; each kind is looked at once.
            answers (Sequence[Tensor]): Of any shape.

        Raises:
            TeacherError: if not. Its weights are, so they must be too large.
        """
        if kind in self.answers_checked or not any(x.numel() for x in answers):
            return
        self.answers_checked.add(kind)
        if not all(bool(x.isfinite().all()) for x in answers):
            raise TeacherError(
                f'{self.name} gives {kind} that are NaN or infinite on the first '
                'batch, although its weights are finite. Test it alone: ctkd-det test '
                'TEACHER_CONFIG TEACHER_CKPT')

    def check_data(self, student_config: dict, student: BaseModel) -> None:
        """Take into account what the student's own pipeline does to the images.

        Args:
            student_config (dict): The whole config of its training.
            student (BaseModel): The detector.

        Raises:
            TeacherError: see :func:`normalisation`.
        """
        if self.is_snapshot:  # which sees what the student sees
            return
        self.convert = InputConverter(
            normalisation(student.data_preprocessor, pipeline_of(student_config), 'the student'),
            self.convert.teacher)

    def prepare(self, images: Tensor, batch_data_samples: Sequence) -> Tensor:
        """The student's images as the teacher wants to see them."""
        return self.scale.images(self.convert(images, batch_data_samples), batch_data_samples)

    def predict(self, images: Tensor, batch_data_samples: Sequence) -> Sequence:
        """What its whole network detects where it looks in training, to show it.

        Args:
            images (Tensor): (B, 3, H, W), normalised for the student.
            batch_data_samples (Sequence[DetDataSample]): Of length B; they
                are not changed.

        Returns:
            Sequence[DetDataSample]: Boxes in pixels of the files, labels of
            its own classes.
        """
        images = self.padding.images(self.prepare(images, batch_data_samples))
        return self.model.predict(images, self.describe(batch_data_samples))

    def describe(self, batch_data_samples: Sequence) -> Sequence:
        """Copies of the samples that fit the images that :meth:`prepare` returns."""
        return self.scale.samples(copy.deepcopy(batch_data_samples))

    def check_classes(self, student_classes: Optional[Sequence[str]]) -> None:
        """Compare the class names if the student inherits a head: features belong to no class.

        Raises:
            TeacherError: if they differ, where both sides state theirs.
        """
        if self.inherited_heads and self.classes and student_classes and (
                self.classes != tuple(student_classes)):
            raise TeacherError(
                f'inherit: {self.inherited_heads} would bring classes that are not the '
                f"student's. {different_classes(self.name, self.classes, student_classes)}\n"
                'Inherit backbone, neck or rpn_head only')


def _read(config: Union[str, Path, dict]) -> dict:
    config = read_config(config)
    if is_distilled(config['model']):
        raise TeacherError('teacher_config is itself a distillation config; to let its student '
                           "teach, give that student's plain config")
    return config
