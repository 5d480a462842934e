"""Which stages of a teacher teach which of a student's, where one of them is a cascade."""
from typing import Collection, List, Sequence, Union

from torch import nn

from .checkpoint import TeacherError


def teaching_stages(teacher_stage: Union[int, str, None], num_teacher: int, num_student: int,
                    teacher_name: str) -> List[List[int]]:
    """For each stage of the student, the stages of the teacher whose logits are averaged.

    Args:
        teacher_stage (int | str, optional): A stage of the teacher (0 is the
            first), 'mean' of all, or None: stage by stage where both have as
            many, else the first, if one of them has one stage only.
        num_teacher (int): Number of the teacher's stages.
        num_student (int): Number of the student's.
        teacher_name (str): What to call the teacher in messages.

    Raises:
        ValueError: if ``teacher_stage`` is out of range.
        TeacherError: if both are cascades of different length and
            ``teacher_stage`` is None.
    """
    if teacher_stage is None:
        if num_teacher == num_student:
            return [[i] for i in range(num_teacher)]
        if num_teacher > 1 < num_student:
            raise TeacherError(
                f'{teacher_name} is a cascade of {num_teacher} stages, the student of '
                f"{num_student}: say which is to teach with teacher_stage=0 to {num_teacher - 1}, "
                "or teacher_stage='mean'")
        teacher_stage = 0
    if teacher_stage == 'mean':
        return [list(range(num_teacher))] * num_student
    if not isinstance(teacher_stage, int) or not 0 <= teacher_stage < num_teacher:
        raise ValueError(
            f"teacher_stage={teacher_stage!r}: {teacher_name} has "
            + (f"{num_teacher} stages, 0 to {num_teacher - 1}, or 'mean'" if num_teacher > 1
               else '1 stage, 0'))
    return [[teacher_stage]] * num_student


def check_stages(teacher_stage: Union[int, str, None], students: Sequence[nn.Module],
                 teachers: Sequence[nn.Module], kind: str, teacher_name: str,
                 sources: Collection[str]) -> None:
    """See whether the stage that is to teach exists, and has what the losses compare.

    Args:
        teacher_stage (int | str, optional): See :func:`teaching_stages`.
        students (Sequence[nn.Module]): The student's classifying heads; none
            if no loss compares what heads compute.
        teachers (Sequence[nn.Module]): The teacher's.
        kind (str): Of both, see :func:`kind_of`.
        teacher_name (str): What to call the teacher in messages.
        sources (Collection[str]): What the losses compare.

    Raises:
        ValueError, TeacherError: see :func:`teaching_stages`.
        ValueError: if a stage is named where there are none, or the mean of
            several is asked for RoI features.
    """
    if students and kind == 'two-stage':
        teaching_stages(teacher_stage, len(teachers), len(students), teacher_name)
        if teacher_stage == 'mean' and 'roi' in sources:
            raise ValueError("teacher_stage='mean' is a mean of logits; the features of several "
                             'stages have none: name one stage')
    elif teacher_stage is not None:
        raise ValueError(f'teacher_stage={teacher_stage!r}: ' + (
            'a single-stage teacher has no stages' if students else
            'no loss of distill_losses compares logits or RoI features'))
