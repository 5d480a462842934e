"""The frozen teacher: held, checked, fed."""
import copy
from pathlib import Path
from typing import Callable, Optional, Sequence, Tuple, Union

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.model import BaseModel
from torch import Tensor

from .checkpoint import TeacherError, load_strictly
from .compilation import compiled
from .inputs import InputConverter


class FrozenTeacher:
    """A trained two-stage detector that answers for the student's RoIs.

    Not an ``nn.Module``: so its weights are in nobody's ``parameters()``,
    ``state_dict()``, optimizer or DDP buckets, and ``train()`` does not reach
    it. Copies of the student (EMA) share it.

    Args:
        config (str | Path | dict): The teacher's config: a path, an
            ``mmdet::`` name, or the config itself.
        checkpoint (str): Its weights, loaded strictly.
        student (BaseModel): The detector that will learn from it.
        compile (bool | dict): Whether its backbone and neck go through
            ``torch.compile``; a dict is that function's options. Its RoI head
            does not: the number of RoIs changes. Defaults to False.

    Raises:
        FileNotFoundError, TeacherError: see :func:`load_strictly`; also if
            teacher and student have different numbers of classes.
        TypeError: if the teacher has no RoI head with one classifier.
    """

    def __init__(self, config: Union[str, Path, dict], checkpoint: str,
                 student: BaseModel, compile: Union[bool, dict] = False) -> None:
        if not checkpoint:
            raise TeacherError('teacher_ckpt is missing: a teacher without trained weights '
                               'would teach noise')
        self.model = MODELS.build(_model_config(config))
        roi_head = getattr(self.model, 'roi_head', None)
        if not hasattr(getattr(roi_head, 'bbox_head', None), 'num_classes'):
            raise TypeError(f'{type(roi_head or self.model).__name__} cannot teach: it has no '
                            'RoI head with one bbox_head')
        if any(p.is_meta for p in self.model.parameters()):
            raise TeacherError('the detector is built without memory for its weights '
                               '(skip_init_weights=True?), so the teacher cannot load its own')
        self.classes = load_strictly(self.model, checkpoint)
        self.name = checkpoint
        self._check_num_classes(student.roi_head.bbox_head.num_classes)
        self.model.requires_grad_(False).eval()
        self.follows = True
        self.convert = InputConverter(student.data_preprocessor, self.model.data_preprocessor)
        self.extract_feat = self.model.extract_feat
        if compile is not False:
            self.extract_feat = compiled(self.extract_feat, {} if compile is True else compile)

    def __deepcopy__(self, memo: dict) -> 'FrozenTeacher':
        """The same detector for a copy of the student, which must not move it."""
        shared = copy.copy(self)
        shared.follows = False
        return shared

    def apply(self, fn: Callable) -> None:
        """Follow the student's ``to``, ``cuda``, ``half`` ..."""
        if self.follows:
            self.model._apply(fn)

    @torch.no_grad()
    def roi_logits(self, images: Tensor, batch_data_samples: Sequence, rois: Tensor) -> Tensor:
        """Classify the student's RoIs: backbone, neck and RoI head only.

        Args:
            images (Tensor): (B, 3, H, W), normalised for the student.
            batch_data_samples (Sequence[DetDataSample]): Of length B.
            rois (Tensor): (N, 5), the image's index and x1, y1, x2, y2.

        Returns:
            Tensor: (N, C+1) logits without a graph.
        """
        images, rois = self._adapt(self.convert(images, batch_data_samples), rois)
        feats = self.extract_feat(images)
        return self.model.roi_head._bbox_forward(feats, rois)['cls_score']

    def _adapt(self, images: Tensor, rois: Tensor) -> Tuple[Tensor, Tensor]:
        """FSDP moves and casts parameters behind ``_apply``: meet the student where it is."""
        weight = next(self.model.parameters())
        if weight.device != images.device:
            self.model.to(images.device)
        if weight.dtype != images.dtype:
            images, rois = images.to(weight.dtype), rois.to(weight.dtype)
        return images, rois

    def check_classes(self, student_classes: Optional[Sequence[str]]) -> None:
        """Compare the class names, where both sides state theirs.

        Raises:
            TeacherError: if they differ in name or order.
        """
        if self.classes and student_classes and self.classes != tuple(student_classes):
            raise TeacherError(_different_classes(self.name, self.classes, student_classes))

    def _check_num_classes(self, expected: int) -> None:
        found = self.model.roi_head.bbox_head.num_classes
        if found != expected:
            raise TeacherError(
                f'teacher {self.name} has {found} classes, the student {expected}. '
                f"Teacher's: {self.classes or 'not stated in its checkpoint'}")


def _model_config(config: Union[str, Path, dict]) -> dict:
    if isinstance(config, (str, Path)):
        config = str(config)
        config = get_config(config) if '::' in config else Config.fromfile(config)
    if 'distill_losses' in config['model']:
        raise TeacherError('teacher_config is itself a distillation config; to let its student '
                           "teach, give that student's plain config")
    return config['model']


def _different_classes(name: str, teacher: Tuple[str, ...], student: Sequence[str]) -> str:
    differing = [f'{i}: {a!r} / {b!r}'
                 for i, (a, b) in enumerate(zip(teacher, student, strict=False)) if a != b]
    return (f'teacher {name} was trained with other classes than the student, or in another '
            f'order. Different (index: teacher / student): {", ".join(differing)}\n'
            f'teacher: {tuple(teacher)}\nstudent: {tuple(student)}')
