"""Finds and checks the data set that ``--data`` names."""
from pathlib import Path
from typing import Optional

import click

from ctkd_det_data import CocoFolder, DataError, find_coco


def find_data(folder: Optional[Path]) -> Optional[CocoFolder]:
    """Find a data set and say what is wrong with it, except what is read right.

    Raises:
        click.ClickException: if it is none, or it cannot be read right.
    """
    if folder is None:
        return None
    try:
        data = find_coco(folder)
    except DataError as error:
        raise click.ClickException(str(error)) from error
    if data.failures:
        raise click.ClickException('\n'.join(map(str, data.failures)))
    for finding in data.findings:
        if not finding.read_as:
            click.echo(f'Warning: {finding}.', err=True)
    if data.is_one_file_twice:
        click.echo('Note: training and validation are the same images, so what is measured is '
                   'no validation.', err=True)
    return data


def say_what_is_read_right(data: CocoFolder, file: Path) -> None:
    """Say what is wrong with one of the user's files and corrected."""
    for finding in data.findings:
        if finding.read_as and finding.file == file:
            click.echo(f'Warning: {finding}. Read as: {finding.read_as}.', err=True)


def save(data: CocoFolder, force: bool) -> None:
    """Write the cleaned copies that a config reads instead of the user's files.

    What is wrong with a file is said when its copy is made, not again.

    Raises:
        click.ClickException: if another file is in the way.
    """
    try:
        written = data.save(force)
    except DataError as error:
        raise click.ClickException(str(error)) from error
    for split in (data.train, data.val):
        if split.ann_file not in written:
            continue
        say_what_is_read_right(data, split.original)
        click.echo(f'{split.ann_file}: a cleaned copy, which the config reads. The original is '
                   'unchanged.', err=True)
