"""``ctkd-det report``."""
from pathlib import Path
from typing import Any, Sequence

import click

from .places import load_package

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument('work_dirs', nargs=-1, required=True, metavar='WORK_DIR...', type=FOLDER)
@click.option('--out', type=click.Path(dir_okay=False, path_type=Path), default='report.html',
              show_default=True, help='page to write')
@click.option('--baseline', type=FOLDER, help='work directory of the student alone')
@click.option('--teacher', type=click.Path(exists=True, path_type=Path),
              help="the teacher's work directory or checkpoint  [default: that of the configs]")
@click.option('--images', type=click.IntRange(min=0), help='images in the gallery')
@click.option('--val-images', type=click.IntRange(min=0),
              help='validation images that each detector is shown')
@click.option('--score-thr', type=click.FloatRange(0, 1),
              help='less confident detections are not in the gallery')
@click.option('--device', help='cpu or cuda  [default: cuda, if there is one]')
@click.option('--title', help='of the page')
def report(work_dirs: Sequence[Path], out: Path, **options: Any) -> None:
    """Write one HTML page about one or more runs.

    \b
    ctkd-det report work_dirs/student work_dirs/ctkd --out report.html
    """
    load_package()
    from ctkd_det.visualization.report import write_report
    given = {key: value for key, value in options.items() if value is not None}
    try:
        written = write_report(work_dirs, out, **given)
    except (FileNotFoundError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(written)
