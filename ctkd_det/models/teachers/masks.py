"""Decides whether a teacher can teach masks."""
from torch import Tensor, nn

from ..masks import mask_heads
from .checkpoint import TeacherError

_WITH_MASKS = 'Mask R-CNN, Cascade Mask R-CNN and RTMDet-Ins'


def check_masks(student: nn.Module, teacher: nn.Module, student_name: str,
                teacher_name: str) -> None:
    """See whether both predict masks.

    Raises:
        TeacherError: if not, saying what to take.
        TypeError: if the masks of one of them depend on more than its RoIs.
    """
    for detector, name, take in (
            (student, student_name, f'take a student that predicts masks ({_WITH_MASKS} do)'),
            (teacher, teacher_name, f'take a teacher that predicts masks ({_WITH_MASKS} do), '
                                    'trained on masks')):
        try:
            heads = mask_heads(detector)
        except TypeError as error:
            raise TypeError(f'{name}: {error}') from None
        if not heads:
            raise TeacherError(f'{name} has no mask head, so there are no masks to compare: '
                               f'{take}, or leave MaskKDLoss out')


def check_sizes(student: Tensor, teacher: Tensor, teacher_name: str) -> None:
    """See whether masks (P, H, W) of both sides are of one size.

    Raises:
        TeacherError: if not.
    """
    if student.shape[1:] != teacher.shape[1:]:
        raise TeacherError(
            f'the masks of {teacher_name} have {tuple(teacher.shape[1:])} pixels, those of the '
            f'student {tuple(student.shape[1:])}: take a teacher whose mask head has the same '
            'roi_feat_size and upsample_cfg')
