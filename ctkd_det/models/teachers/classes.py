"""Compares the classes of teacher and student, or maps them by name."""
import logging
from typing import Collection, Iterator, Optional, Sequence, Tuple

import torch
from mmdet.registry import DATASETS
from mmengine.logging import print_log
from torch import Tensor, nn

from ctkd_det_data.alike import written
from ...configs import nested_datasets, registered_class
from .checkpoint import OTHER_CONFIG, TeacherError

Names = Optional[Tuple[str, ...]]
# what to do if a teacher has other classes than the student
OTHER_TEACHER = 'Take a teacher that was trained on these classes'


def compares_classes(sources: Collection[str], student: nn.Module) -> bool:
    """Whether student and teacher must have the same classes, or some that are mapped.

    Logits belong to classes, and so do masks; boxes everywhere are weighted by
    logits. So do the boxes of a two-stage detector: a regressor may have
    offsets for each class.
    """
    return bool({'logits', 'masks', 'all_boxes'} & set(sources)) or (
        'boxes' in sources and hasattr(student, 'roi_head'))


class ClassMapping:
    """Brings the teacher's logits into the student's order of classes.

    By default both must have the same classes in the same order. With
    ``how='by_name'`` the teacher may know more classes, in any order: the
    student's are gathered by name. What is none of them is background to the
    student. So of a softmax head the last logit is the logarithm of the sum
    of the exponentials of the background's and the other classes' logits, and
    a softmax over the result gives each class the teacher's own probability.

    Args:
        how (str, optional): None or 'by_name', see also
            :func:`check_number_of_classes`.
        teacher (str): What to call the teacher in messages.
        names (tuple[str], optional): Its classes, if known.
        num_teacher (int): Their number.
        num_student (int): The number of the student's.
        sigmoids (bool): Whether the heads end in sigmoids, without a logit
            for the background.

    Raises:
        TeacherError: if 'by_name' without the teacher's names.
    """

    def __init__(self, how: Optional[str], teacher: str, names: Names, num_teacher: int,
                 num_student: int, sigmoids: bool) -> None:
        self.how, self.teacher, self.names, self.sigmoids = how, teacher, names, sigmoids
        self.num_teacher, self.num_student = num_teacher, num_student
        self.columns: Optional[Tensor] = None
        self.rest = torch.zeros(0, dtype=torch.long)
        if how == 'by_name' and (names is None or len(names) != num_teacher):
            raise TeacherError(
                f"class_mapping='by_name': the names of the {num_teacher} classes of {teacher} "
                f'are not known. Its checkpoint states {names or "none"}; they may also stand in '
                "teacher_config as train_dataloader.dataset.metainfo=dict(classes=(...))")

    def settle(self, student: Optional[Sequence[str]]) -> None:
        """Compare with, or map to, the student's class names once they are known.

        Raises:
            TeacherError: if they are not as many as the student's head has
                classes; differ in name or order; or, by name, if the teacher
                lacks some.
        """
        if not student:
            return
        if len(student) != self.num_student:
            raise TeacherError(
                f"the student's data set has {len(student)} class names, its head "
                f'{self.num_student} classes. The names come from metainfo=dict(classes=(...)) of '
                'the data set, with the key in lower case, and without it from the type of the '
                f'data set: {tuple(student)}')
        if not self.names:
            print_log(f'{self.teacher} states no class names, so only their number was compared '
                      "with the student's. Are they the same, in the same order?",
                      logger='current', level=logging.WARNING)
            return
        if self.how is None:
            if self.names != tuple(student):
                raise TeacherError(
                    f'{different_classes(self.teacher, self.names, student)}\n'
                    "If it has the same ones in another order: class_mapping='by_name'")
            return
        missing = [name for name in student if name not in self.names]
        if missing:
            raise TeacherError(
                f"class_mapping='by_name': {self.teacher} does not know {missing}.\n"
                f'teacher: {self.names}\nstudent: {tuple(student)}')
        columns = [self.names.index(name) for name in student]
        self.columns = torch.tensor(columns)
        if not self.sigmoids:  # the background is the last one
            self.rest = torch.tensor([i for i in range(self.num_teacher + 1) if i not in columns])

    def __call__(self, logits: Tensor) -> Tensor:
        """The student's (N, C_s [+1]) logits of the teacher's (N, C_t [+1]).

        Raises:
            TeacherError: by name, if the student's names are not known.
        """
        if self.how is None:
            return logits
        if self.columns is None:
            raise TeacherError(
                "class_mapping='by_name': the student's class names are not known. In a Runner's "
                'training they are the metainfo of the data set; elsewhere call '
                'detector.teacher.check_classes(names)')
        known = logits[:, self.columns.to(logits.device)]
        if self.sigmoids:
            return known
        rest = logits[:, self.rest.to(logits.device)].logsumexp(1, keepdim=True)
        return torch.cat([known, rest], 1)


def check_number_of_classes(how: Optional[str], teacher: str, num_teacher: int, num_student: int,
                            names: Names = None) -> None:
    """Compare the numbers of classes; ``how`` and ``teacher`` as in :class:`ClassMapping`.

    Raises:
        ValueError: if ``how`` is unknown.
        TeacherError: if the teacher cannot have all of the student's classes,
            or has more and no mapping is asked for.
    """
    if how not in (None, 'by_name'):
        raise ValueError(f"class_mapping must be None or 'by_name', got {how!r}")
    if num_teacher < num_student or how is None and num_teacher != num_student:
        if names and len(names) != num_teacher:
            raise TeacherError(f'the checkpoint of {teacher} has {len(names)} classes, {names}, '
                               f'and its config {num_teacher}; the student has {num_student}. '
                               + OTHER_CONFIG
                               + (f'. {OTHER_TEACHER}' if len(names) != num_student else ''))
        known = f' It was trained on {names}.' if names else ''
        hint = ("\nIf it knows the student's classes among others, by the same names: "
                "class_mapping='by_name'" if num_teacher > num_student else '')
        raise TeacherError(
            f'{teacher} has {num_teacher} classes, the student {num_student}.{known} '
            f'{OTHER_TEACHER}{hint}')


def classes_of_config(config: dict, num_classes: int) -> Names:
    """Class names of the data set in a config: its ``metainfo``, or its type's own.

    None where it states none, or not as many as the head has.
    """
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        datasets = nested_datasets((config.get(loader) or {}).get('dataset'))
        if not datasets:
            continue
        dataset = datasets[-1]
        known = getattr(registered_class(DATASETS, dataset['type']), 'METAINFO', {})
        names = (dataset.get('metainfo') or {}).get('classes') or known.get('classes')
        if names and len(names) == num_classes:
            return tuple(names)
    return None


def class_difference(learnt: Optional[Sequence[str]], names: Optional[Sequence[str]]) -> str:
    """Where two lists of classes first differ, in words; empty if nowhere, or one is not known."""
    learnt, names = list(map(str, learnt or names or ())), list(names or learnt or ())
    if len(learnt) != len(names):
        return f'{len(learnt)} and {len(names)}'
    return next((f'label {i} is {a!r} and {b!r}' for i, a, b in _differences(learnt, names)), '')


def _differences(names: Sequence[str], others: Sequence[str]) -> Iterator[Tuple[int, str, str]]:
    """Each index at which two lists have different names, and these."""
    return ((i, a, b) for i, (a, b) in enumerate(zip(names, others, strict=False)) if a != b)


def different_classes(name: str, teacher: Sequence[str], student: Sequence[str]) -> str:
    """A sentence on class names of the teacher, called ``name``, that are not the student's."""
    texts = written((*teacher, *student))
    theirs, ours = texts[:len(teacher)], texts[len(teacher):]
    said = [f'{i}: {a} / {b}' for i, a, b in _differences(theirs, ours)]
    said += [f'only the {who} has {", ".join(more)}' for who, more in (
        ('teacher', theirs[len(ours):]), ('student', ours[len(theirs):])) if more]
    return (f'{name} was trained with other classes than the student, or in another '
            f'order. Different (index: teacher / student): {", ".join(said)}\n'
            f'teacher: ({", ".join(theirs)})\nstudent: ({", ".join(ours)})')
