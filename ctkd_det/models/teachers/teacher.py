"""The frozen teacher: held, checked, shown the student's images."""
import copy
from pathlib import Path
from typing import Callable, Optional, Sequence, Union

from mmdet.registry import MODELS
from mmengine.model import BaseModel
from torch import Tensor, nn

from ...configs import read_config
from ..heads import has_sigmoids
from .checkpoint import TeacherError, load_strictly
from .classes import ClassMapping, classes_of_config
from .compilation import compiled
from .inputs import InputConverter


class FrozenTeacher:
    """A trained detector that classifies what the student classifies.

    Not an ``nn.Module``: so its weights are in nobody's ``parameters()``,
    ``state_dict()``, optimizer or DDP buckets, and ``train()`` does not reach
    it. Copies of the student (EMA) share it. Subclasses say which heads they
    ask.

    Args:
        config (str | Path | dict): The teacher's config: a path, an
            ``mmdet::`` name, or the config itself.
        checkpoint (str): Its weights, loaded strictly.
        student (BaseModel): The detector that will learn from it.
        class_mapping (str, optional): None, both have the same classes in the
            same order, or 'by_name', see :class:`ClassMapping`.
        compile (bool | dict): Whether its backbone and neck go through
            ``torch.compile``; a dict is that function's options. Its head
            does not: the number of RoIs changes. Defaults to False.

    Raises:
        FileNotFoundError, TeacherError: see :func:`load_strictly`; also if
            the classes of teacher and student cannot be brought together, or
            only one of them ends in sigmoids.
        TypeError: if the teacher has no head that can be asked.
    """

    def __init__(self, config: Union[str, Path, dict], checkpoint: str, student: BaseModel,
                 class_mapping: Optional[str] = None,
                 compile: Union[bool, dict] = False) -> None:
        if not checkpoint:
            raise TeacherError('teacher_ckpt is missing: a teacher without trained weights '
                               'would teach noise')
        config = _read(config)
        self.model = MODELS.build(config['model'])
        if any(p.is_meta for p in self.model.parameters()):
            raise TeacherError('the detector is built without memory for its weights '
                               '(skip_init_weights=True?), so the teacher cannot load its own')
        head, students_head = self.heads(self.model)[0], self.heads(student)[0]
        self.name = checkpoint
        names = load_strictly(self.model, checkpoint)
        self.classes = names or classes_of_config(config, head.num_classes)
        self.map_classes = ClassMapping(
            class_mapping, checkpoint, self.classes, head.num_classes, students_head.num_classes,
            has_sigmoids(head))
        if has_sigmoids(head) != has_sigmoids(students_head):
            raise TeacherError(
                f'teacher {checkpoint} has use_sigmoid={has_sigmoids(head)} in its classifier, the '
                f'student use_sigmoid={has_sigmoids(students_head)}: their logits say different '
                'things')
        self.model.requires_grad_(False).eval()
        self.follows = True
        self.convert = InputConverter(student.data_preprocessor, self.model.data_preprocessor)
        self.extract_feat = self.model.extract_feat
        if compile is not False:
            self.extract_feat = compiled(self.extract_feat, {} if compile is True else compile)

    @staticmethod
    def heads(detector: nn.Module) -> Sequence[nn.Module]:
        """The classifying heads of a detector, student or teacher.

        Raises:
            TypeError: if they cannot be distilled.
        """
        raise NotImplementedError

    def __deepcopy__(self, memo: dict) -> 'FrozenTeacher':
        """The same detector for a copy of the student, which must not move it."""
        shared = copy.copy(self)
        shared.follows = False
        return shared

    def apply(self, fn: Callable) -> None:
        """Follow the student's ``to``, ``cuda``, ``half`` ..."""
        if self.follows:
            self.model._apply(fn)

    def features(self, images: Tensor, batch_data_samples: Sequence) -> Sequence[Tensor]:
        """Its neck's features of images that are normalised for the student."""
        images = self.prepare(images, batch_data_samples)
        weight = next(self.model.parameters())
        # FSDP moves and casts parameters behind `_apply`: meet the student where it is
        if weight.device != images.device:
            self.model.to(images.device)
        return self.extract_feat(images.to(weight.dtype))

    def prepare(self, images: Tensor, batch_data_samples: Sequence) -> Tensor:
        """The student's images as the teacher wants to see them."""
        return self.convert(images, batch_data_samples)

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
        return self.model.predict(self.prepare(images, batch_data_samples),
                                  self.describe(batch_data_samples))

    def describe(self, batch_data_samples: Sequence) -> Sequence:
        """Copies of the samples that fit the images that :meth:`prepare` returns."""
        return copy.deepcopy(batch_data_samples)

    def check_classes(self, student_classes: Optional[Sequence[str]]) -> None:
        """Compare, or map, the class names, where both sides state theirs.

        Raises:
            TeacherError: see :meth:`ClassMapping.settle`.
        """
        self.map_classes.settle(student_classes)


def _read(config: Union[str, Path, dict]) -> dict:
    config = read_config(config)
    if 'distill_losses' in config['model']:
        raise TeacherError('teacher_config is itself a distillation config; to let its student '
                           "teach, give that student's plain config")
    return config
