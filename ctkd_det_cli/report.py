"""``ctkd-det report``."""
from pathlib import Path
from typing import Sequence

import click


@click.command()
@click.argument('work_dirs', nargs=-1, required=True, metavar='WORK_DIR...',
                type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option('--out', type=click.Path(dir_okay=False, path_type=Path), default='report.html',
              show_default=True, help='page to write')
def report(work_dirs: Sequence[Path], out: Path) -> None:
    """Write one HTML page about one or more runs.

    \b
    ctkd-det report work_dirs/student work_dirs/ctkd --out report.html
    """
    from ctkd_det.visualization.report import write_report
    try:
        write_report(work_dirs, out)
    except (FileNotFoundError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(out)
