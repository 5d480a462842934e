"""The teacher of a single-stage student."""
from typing import List, Sequence

import torch
from torch import Tensor, nn

from ..heads import dense_head, different_priors
from .checkpoint import TeacherError
from .teacher import FrozenTeacher


class DenseTeacher(FrozenTeacher):
    """Classifies the locations that the student classifies: backbone, neck and head, no NMS.

    Args:
        *args, **kwargs: See :class:`FrozenTeacher`.

    Raises:
        TeacherError: also if its anchors or points are not the student's.
    """

    def __init__(self, *args, student: nn.Module, **kwargs) -> None:
        super().__init__(*args, student=student, **kwargs)
        different = different_priors(self.heads(self.model)[0], self.heads(student)[0])
        if different:
            raise TeacherError(
                f'teacher {self.name} classifies other anchors or points than the student, '
                f'{different}, so their logits cannot be compared')

    @staticmethod
    def heads(detector: nn.Module) -> List[nn.Module]:
        return [dense_head(detector)]

    @torch.no_grad()
    def dense_logits(self, images: Tensor, batch_data_samples: Sequence,
                     level_shapes: Sequence[torch.Size]) -> Tensor:
        """Classify every location.

        Args:
            images (Tensor): (B, 3, H, W), normalised for the student.
            batch_data_samples (Sequence[DetDataSample]): Of length B.
            level_shapes (Sequence[torch.Size]): Of the student's outputs.

        Returns:
            Tensor: (N, C) logits without a graph, in the student's order of
            locations and classes.

        Raises:
            TeacherError: if its levels have other sizes than the student's.
        """
        levels = self.model.bbox_head(self.features(images, batch_data_samples))[0]
        sizes, students = ([tuple(shape[2:]) for shape in shapes]
                           for shapes in ([x.shape for x in levels], level_shapes))
        if sizes != students:
            raise TeacherError(f'the feature levels of teacher {self.name} have the sizes {sizes} '
                               f"on this batch, the student's {students}")
        width = self.model.bbox_head.cls_out_channels
        return self.map_classes(
            torch.cat([x.permute(0, 2, 3, 1).reshape(-1, width) for x in levels]))
