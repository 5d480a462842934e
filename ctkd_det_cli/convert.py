"""``ctkd-det data``: converts data sets to COCO's format."""
import shlex
from pathlib import Path
from typing import Optional

import click

from ctkd_det_data import DataError
from ctkd_det_data.convert import KINDS, convert


@click.command('data')
@click.argument('source', type=click.Path(path_type=Path))
@click.argument('out', type=click.Path(path_type=Path))
@click.option('--kind', type=click.Choice(list(KINDS)),
              help='format of the source  [default: what the folder has]')
@click.option('--val-share', type=click.FloatRange(0, 1, min_open=True, max_open=True),
              default=0.2, show_default=True,
              help='share of the images for validation, if the source does not say which')
@click.option('--longest-side', type=click.IntRange(min=32), metavar='PIXELS',
              help='shrink larger images, with their boxes')
def data(source: Path, out: Path, kind: Optional[str], val_share: float,
         longest_side: Optional[int]) -> None:
    """Turn a data set into COCO's format.

    SOURCE is a folder with Pascal VOC's XML files, YOLO's text files,
    labelme's JSON files, or one COCO file that is not split. OUT becomes
    train.json, val.json and images/ (hard links where possible). Your own split
    is kept; a note says what decided it. What is not clear is refused.

    \b
    ctkd-det data my/voc my/coco
    ctkd-det doctor --data my/coco
    """
    try:
        found, numbers, notes = convert(source, out, kind, val_share, longest_side)
    except DataError as error:
        raise click.ClickException(str(error)) from error
    for note in notes:
        click.echo(f'Note: {note}', err=True)
    click.echo(f'{out}: {numbers["train"]} images for training, {numbers["val"]} for validation, '
               f'from {found}. Next: ctkd-det doctor --data {shlex.quote(str(out))}')
