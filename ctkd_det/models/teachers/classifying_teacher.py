"""The frozen teacher whose classes are compared with the student's."""
from typing import Collection, Optional, Sequence

from mmengine.model import BaseModel
from torch import Tensor

from ..heads import classifiers, has_sigmoids
from .classes import ClassMapping, compares_classes
from .teacher import FrozenTeacher


class ClassifyingTeacher(FrozenTeacher):
    """A teacher that also classifies what the student classifies.

    Args:
        *args, **kwargs: See :class:`FrozenTeacher`.
        class_mapping (str, optional): None, both have the same classes in the
            same order, or 'by_name', see :class:`ClassMapping`.
        sources (Collection[str]): What the losses compare; classes may not
            matter, see :func:`compares_classes`. Defaults to logits.
    """

    def __init__(self, *args, student: BaseModel, class_mapping: Optional[str] = None,
                 sources: Collection[str] = ('logits', ), **kwargs) -> None:
        super().__init__(*args, student=student, class_mapping=class_mapping, sources=sources,
                         **kwargs)
        head, students = classifiers(self.model)[0], classifiers(student)[0]
        self.map_classes = ClassMapping(
            class_mapping, self.name, self.classes, head.num_classes, students.num_classes,
            has_sigmoids(head)) if compares_classes(sources, student) else _as_they_are

    def check_classes(self, student_classes: Optional[Sequence[str]]) -> None:
        """Compare, or map, the class names, where both sides state theirs.

        Raises:
            TeacherError: see :meth:`ClassMapping.settle` and
                :meth:`FrozenTeacher.check_classes`.
        """
        if isinstance(self.map_classes, ClassMapping):
            self.map_classes.settle(student_classes)
        else:
            super().check_classes(student_classes)

    def own_classes(self, labels: Tensor) -> Tensor:
        """The student's classes as this teacher numbers them."""
        columns = getattr(self.map_classes, 'columns', None)
        return labels if columns is None else columns.to(labels.device)[labels]


def _as_they_are(logits: Tensor) -> Tensor:
    return logits
