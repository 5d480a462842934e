"""A training of its own: what a student's config says of the run that it was written for."""
from typing import TYPE_CHECKING, Any, Dict, Optional, Sequence

import click

if TYPE_CHECKING:
    from .zoo import Source


def begun_anew(base: Any) -> Dict[str, Any]:
    """Overrides with which a training begins, in the folder that its config's name gives.

    Each config that is written would share an inherited ``work_dir``: the
    student alone, its distillation, and all seeds. MMEngine's copy of a config
    has one, and of a resumed training ``resume=True``; its ``load_from`` is then
    the checkpoint that was resumed. Without ``resume`` it names weights to
    begin with, which the student keeps.

    Args:
        base (Config): The student's.
    """
    blocks: Dict[str, Any] = {}
    if base.get('work_dir'):
        blocks['work_dir'] = None  # both commands that train it take its name then
    if base.get('resume'):
        blocks['resume'] = False
        if base.get('load_from'):
            blocks['load_from'] = None
    return blocks


def say_what_is_left_behind(student: 'Source') -> None:
    """Note that a training is not gone on with: the config alone does not show why."""
    if not student.config.get('resume'):
        return
    resumed = student.config.get('load_from')
    without = f', and without {resumed}, which was resumed' if resumed else ''
    click.echo(f'Note: {student.path} has resume=True, as the copy that MMEngine keeps of a '
               f'resumed training. The new training begins anew{without}. To begin with weights: '
               '--cfg-options load_from=FILE', err=True)


def check_pair_of_trainings(resume: Optional[str], cfg_options: Sequence[str]) -> None:
    """See that a training and its baseline do not share a folder or a checkpoint.

    Raises:
        click.UsageError: if they would.
    """
    if resume not in (None, 'auto'):
        raise click.UsageError('--with-baseline: --resume without FILE, so that each of the two '
                               'trainings finds its own checkpoint')
    if any(pair.startswith('work_dir=') for pair in cfg_options):
        raise click.UsageError('--with-baseline: --work-dir FOLDER in place of --cfg-options '
                               'work_dir=FOLDER, so that each of the two has its own')
