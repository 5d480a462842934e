"""``ctkd-det report``; ``tools/analysis_tools/report.py`` is this command, too."""
from pathlib import Path
from typing import Any, Sequence

import click

from .options import FOLDER
from .places import load_package


@click.command(context_settings=dict(help_option_names=['-h', '--help'], show_default=True))
@click.argument('work_dirs', nargs=-1, required=True, metavar='WORK_DIR...', type=FOLDER)
@click.option('--out', type=click.Path(dir_okay=False, path_type=Path), default='report.html',
              help='page to write')
@click.option('--baseline', type=FOLDER, default=None, help='work directory of the student '
              "alone; without it, the plain detector with the distilled students' architecture")
@click.option('--teacher', type=click.Path(exists=True, path_type=Path), default=None,
              help="the teacher's work directory or checkpoint; without it, what the configs name")
@click.option('--images', type=click.IntRange(min=0), default=8, help='images in the gallery')
@click.option('--val-images', type=click.IntRange(min=0), default=500,
              help='number of validation images for each detector, at most; 0 runs no detector')
@click.option('--score-thr', type=click.FloatRange(0, 1), default=0.3,
              help='the gallery leaves out detections below this score')
@click.option('--device', default=None, help='cpu or cuda; without it, a GPU if there is one')
@click.option('--title', default='Distillation report', help='title of the page')
@click.option('--name', 'names', multiple=True, metavar='WORK_DIR=NAME', default=(),
              help='name of the method of a work directory; may be repeated')
def report(work_dirs: Sequence[Path], out: Path, **options: Any) -> None:
    """Write one HTML page about one or more runs: results, curves, images, settings.

    A folder of work directories stands for all of them, one or two levels down
    (seed_N/NAME, METHOD/seed_N). Their configs are read, not run; to show
    images, the detectors that they name are built, which may run any code:
    --val-images 0 for directories that you do not trust.

    \b
    ctkd-det report work_dirs/student work_dirs/ctkd --out report.html
    ctkd-det report work_dirs
    """
    load_package()
    try:
        from ctkd_det.visualization.report import write_report
        from ctkd_det.whole_file import is_device
        written = write_report(work_dirs, out, **options)
    except (ModuleNotFoundError, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(written, err=is_device(written))  # not behind a page on /dev/stdout
