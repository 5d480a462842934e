"""Whether two configs can be student and teacher, told without building them."""
from typing import Optional, Sequence, Set, Union

import click

from .zoo import Source


def check_classes(teacher: Source, num_classes: int, mapping: Optional[str]) -> None:
    """Compare the numbers of classes; their names come with the checkpoint.

    Args:
        teacher (Source): Its config.
        num_classes (int): The number of the student's.
        mapping (str, optional): 'by_name' lets the teacher know more.

    Raises:
        click.ClickException: if they do not fit.
    """
    found = teacher.num_classes
    if found == num_classes or mapping == 'by_name' and found > num_classes:
        return
    advice = (' If it knows them among others, by the same names: --class-mapping by_name'
              if found > num_classes else '')
    raise click.ClickException(
        f'the teacher {teacher.path} has {found} classes, the student {num_classes}: take a '
        f'teacher that was trained on these classes.{advice}')


def check_inherit(student: Source, teacher: Source, names: Sequence[str]) -> None:
    """See whether both have the parts that one inherits from the other.

    Raises:
        click.ClickException: if not, with the parts that both have.
    """
    common = sorted(_parts(student) & _parts(teacher))
    for name in names:
        if name.partition('.')[0] not in common:
            raise click.ClickException(
                f'--inherit: student and teacher have no {name} in common, but '
                f'{", ".join(common)} (or a part of those, as in backbone.layer1)')


def check_stage(student: Source, teacher: Source, stage: Union[int, str, None]) -> None:
    """See whether it is clear which stage of the teacher teaches, and whether it has that one.

    Raises:
        click.ClickException: if not.
    """
    number, students = (s.config.model.roi_head.get('num_stages', 1) for s in (teacher, student))
    if isinstance(stage, int) and stage >= number:
        raise click.ClickException(
            f'--teacher-stage {stage}: the teacher {teacher.path} has {number} '
            + (f'stages, 0 to {number - 1}' if number > 1 else 'stage, 0'))
    if stage is None and number != students and number > 1 < students:
        raise click.ClickException(
            f'the teacher {teacher.path} is a cascade of {number} stages, the student of '
            f'{students}: say which is to teach with --teacher-stage 0 to {number - 1}, or mean')


def _parts(source: Source) -> Set[str]:
    """What the detector is composed of: backbone, neck and heads."""
    model = source.config.model
    return {key for key, value in model.items() if key != 'data_preprocessor'
            and (isinstance(value, list) or isinstance(value, dict) and 'type' in value)}
