"""The teacher of a single-stage student."""
from typing import Optional, Sequence

import torch
from torch import Tensor

from ..dense import flat
from ..heads import dense_reader
from .checkpoint import TeacherError
from .teacher import ClassifyingTeacher


class DenseTeacher(ClassifyingTeacher):
    """Classifies the locations that the student classifies: backbone, neck and head, no NMS.

    Args and errors are those of :class:`ClassifyingTeacher`.
    """

    @torch.no_grad()
    def dense_logits(self, images: Tensor, batch_data_samples: Sequence,
                     level_shapes: Sequence[torch.Size],
                     feats: Optional[Sequence[Tensor]] = None) -> Tensor:
        """Classify every location.

        Args:
            images (Tensor): (B, 3, H, W), normalised for the student.
            batch_data_samples (Sequence[DetDataSample]): Of length B.
            level_shapes (Sequence[torch.Size]): Of the student's outputs.
            feats (Sequence[Tensor], optional): What :meth:`features` gave for
                these images. Defaults to None, to be computed.

        Returns:
            Tensor: (N, C) logits without a graph, in the student's order of
            locations and classes.

        Raises:
            TeacherError: if its levels have other sizes than the student's.
        """
        if feats is None:
            feats = self.features(images, batch_data_samples)
        head = self.model.bbox_head
        levels = dense_reader(head).logits(head(feats))
        sizes, students = ([tuple(shape[2:]) for shape in shapes]
                           for shapes in ([x.shape for x in levels], level_shapes))
        if sizes != students:
            raise TeacherError(f'the feature levels of {self.name} have the sizes {sizes} '
                               f"on this batch, the student's {students}")
        return self.map_classes(flat(levels, head.cls_out_channels))
