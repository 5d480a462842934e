"""The teacher of a single-stage student."""
import logging
from typing import Any, Optional, Sequence, Tuple

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ..dense import flat
from ..dense.differences import has_quality_branch, location_offset
from ..heads import dense_reader
from .checkpoint import TeacherError
from .classes import ClassMapping
from .classifying_teacher import ClassifyingTeacher
from .cross import CrossHead


class DenseTeacher(ClassifyingTeacher):
    """Classifies the locations that the student classifies: backbone, neck and head, no NMS.

    Args:
        *args, **kwargs: See :class:`ClassifyingTeacher`.
        cross_head (dict, optional): Arguments of a :class:`CrossHead`, with
            which it also says what becomes of the student's maps in its head.
            Defaults to None, it does not.
    """

    def __init__(self, *args, student: nn.Module, cross_head: Optional[dict] = None,
                 **kwargs) -> None:
        super().__init__(*args, student=student, cross_head=cross_head, **kwargs)
        self._say_how_it_differs(student.bbox_head)
        self.cross = None if cross_head is None else CrossHead(
            student.bbox_head, self.model.bbox_head, 'the student', self.name, **cross_head)

    def _say_how_it_differs(self, student: nn.Module) -> None:
        """What is no reason to refuse a pair, but one to know."""
        teacher = self.model.bbox_head
        own, students = map(location_offset, (teacher, student))
        if own != students:
            print_log(f'the first location of {self.name} is {own} strides from the edge of the '
                      f"image, the student's {students}. So the places that are compared are "
                      f'{abs(own - students)} strides apart', logger='current')
        apart = {has_quality_branch(head): type(head).__name__ for head in (teacher, student)}
        if len(apart) == 2 and isinstance(self.map_classes, ClassMapping):
            print_log(f'the class logits of {apart[False]} also say how well a box fits. '
                      f'{apart[True]} says that in another output, its centerness or IoU. So the '
                      'logits that are compared do not mean quite the same', logger='current',
                      level=logging.WARNING)

    @torch.no_grad()
    def dense_outputs(self, images: Tensor, batch_data_samples: Sequence,
                      level_shapes: Sequence[torch.Size],
                      feats: Optional[Sequence[Tensor]] = None) -> Tuple[Any, ...]:
        """What its head says of every location.

        Args:
            images (Tensor): (B, 3, H, W), normalised for the student.
            batch_data_samples (Sequence[DetDataSample]): Of length B.
            level_shapes (Sequence[torch.Size]): Of the student's logits.
            feats (Sequence[Tensor], optional): What :meth:`features` gave for
                these images. Defaults to None, to be computed.

        Returns:
            tuple: Without a graph, maps of each level, as its ``forward``
            gives them.

        Raises:
            TeacherError: if its levels have other sizes than the student's.
        """
        if feats is None:
            feats = self.features(images, batch_data_samples)
        outputs = (self.cross.own if self.cross else self.model.bbox_head)(feats)
        sizes, students = ([tuple(shape[2:]) for shape in shapes] for shapes in (
            [x.shape for x in dense_reader(self.model.bbox_head).logits(outputs)], level_shapes))
        if sizes != students:
            raise TeacherError(f'the feature levels of {self.name} have the sizes {sizes} '
                               f"on this batch, the student's {students}")
        return outputs

    def dense_logits(self, outputs: Sequence[Any]) -> Tensor:
        """(N, C) logits in the student's order of locations and classes, from its outputs."""
        head = self.model.bbox_head
        return self.map_classes(flat(dense_reader(head).logits(outputs), head.cls_out_channels))
