"""Whether two configs can be student and teacher, told before anything is written."""
from typing import Optional, Sequence, Set, Union

import click

from .kinds import SINGLE_STAGE, ends_in_sigmoids, kind_of, other_locations
from .zoo import Source


def check_kinds(student: Source, teacher: Source) -> None:
    """See whether both classify the same things, in the same way.

    Raises:
        click.ClickException: if one is a two-stage and the other a
            single-stage detector, or something else; only one ends in
            sigmoids; or single-stage detectors have other anchors or points.
    """
    kinds = [kind_of(source) for source in (student, teacher)]
    if kinds[0] is not kinds[1]:
        raise click.ClickException(
            f'the student {student.path} is a {kinds[0].name} detector, the teacher '
            f'{teacher.path} a {kinds[1].name} one: what one classifies, RoIs or fixed locations, '
            f'the other does not. Take a {kinds[0].name} teacher')
    if ends_in_sigmoids(student) != ends_in_sigmoids(teacher):
        ends = ['sigmoids' if ends_in_sigmoids(s) else 'a softmax' for s in (student, teacher)]
        raise click.ClickException(
            f"the student's classifier ends in {ends[0]}, that of the teacher {teacher.path} in "
            f'{ends[1]}: their logits say different things')
    different = kinds[0] is SINGLE_STAGE and other_locations(teacher, student)
    if different:
        raise click.ClickException(f'the teacher {teacher.path} classifies other anchors or points '
                                   f'than the student: {different}')


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
    if stage is not None and kind_of(teacher) is SINGLE_STAGE:
        raise click.ClickException('--teacher-stage: a single-stage teacher has no stages')
    number, students = (s.config.model.get('roi_head', {}).get('num_stages', 1)
                        for s in (teacher, student))
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
