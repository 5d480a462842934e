"""Finds the teacher's weights, or says where there are some."""
import shlex
from pathlib import Path
from typing import List, Optional

import click

from ..places import load_package
from .zoo import Source, weights_url


def find_weights(given: Optional[str], teacher: Source) -> str:
    """Absolute path or URL of the teacher's weights.

    Raises:
        click.ClickException: if there are none; the message names those that
            could be meant.
    """
    if given == 'auto':
        return weights_url(teacher)
    if not given:
        raise click.UsageError(f'the teacher needs weights: --teacher-ckpt FILE.{advice(teacher)}')
    if '://' in given:
        given = _address(given)
        if '://' in given:
            return given
    path = Path(given).expanduser().absolute()
    if not path.is_file():
        raise click.ClickException(f'--teacher-ckpt: there is no file {path}.'
                                   f'{advice(teacher, path.parent)}')
    return str(path)


def _address(given: str) -> str:
    """The address, or the path of ``file://``.

    Raises:
        click.ClickException: if nothing can be there.
    """
    load_package()
    from ctkd_det.compat.addresses import checked_address
    from ctkd_det.compat.reading import CheckpointError
    try:
        return checked_address(given)
    except CheckpointError as error:
        raise click.ClickException(f'--teacher-ckpt: {error}') from error


def advice(teacher: Source, *folders: Path) -> str:
    """Which checkpoints there are for a teacher: on the disk, and in the model zoo."""
    found = nearby(teacher, *folders)
    text = f' Checkpoints found: {", ".join(map(str, found))}.' if found else ''
    try:
        url = weights_url(teacher)
    except click.ClickException:
        return text + ('' if found else " MMDetection's model zoo has none for "
                       f'{teacher.reference}: train it first, ctkd-det train '
                       f'{shlex.quote(str(teacher.path))}')
    return text + f" --teacher-ckpt auto takes that of MMDetection's model zoo, {url}"


def nearby(teacher: Source, *folders: Path) -> List[Path]:
    """Checkpoints beside the config, in its work directory, and in ``folders``."""
    name = teacher.path.stem
    looked_in = [*folders, teacher.path.parent, Path('work_dirs') / name,
                 teacher.path.parent / 'work_dirs' / name, Path('checkpoints')]
    # mmdet 2.x left links called latest.pth, whose targets may be gone
    found = {file.resolve() for folder in looked_in for file in folder.glob('*.pth')
             if file.is_file()}
    return sorted(found, key=lambda file: file.stat().st_mtime, reverse=True)[:5]
