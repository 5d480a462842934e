"""``ctkd-det export``: the student, for those who have nothing of ours."""
from pathlib import Path
from typing import Optional, Tuple

import click

from ..places import load_package

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument('config', type=FILE)
@click.argument('checkpoint', type=FILE)
@click.option('--out', required=True, type=click.Path(file_okay=False, path_type=Path),
              help='folder to write to')
@click.option('--ema/--no-ema', default=None,
              help='averaged weights or those of the optimizer  [default: averaged, if there are]')
@click.option('--shape', nargs=2, type=click.IntRange(min=1), metavar='HEIGHT WIDTH',
              help="count operations at this size  [default: the test pipeline's]")
def export(config: Path, checkpoint: Path, out: Path, ema: Optional[bool],
           shape: Optional[Tuple[int, int]]) -> None:
    """Write the plain student of a distillation.

    A checkpoint with the student's weights alone, and a config of plain
    MMDetection beside it, which loads it strictly: MMDetection's tools and
    MMDeploy take them as they are.

    \b
    ctkd-det export my_config.py work_dirs/my_config/epoch_12.pth --out student
    """
    load_package()
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from .student import export_student
    exported = export_student(config, checkpoint, out, ema, shape)
    table = Table('', 'student', show_header=False)
    for title, fact in exported.facts.items():
        table.add_row(title, Text(fact))  # as it is: names of weights are the file's words
    Console().print(table)
    click.echo(exported.config)
    click.echo(exported.checkpoint)
