"""The file that gives mmcv-lite its operators in every program, on request only."""
from pathlib import Path

import click

from ..places import package_dir

FULL, OURS, OLD, NONE = 'full', 'ours', 'old', 'none'
MARK = '# written by `ctkd-det doctor --fix`; delete this file to undo it\n'


def code() -> str:
    """What the file says: the module of the package, whole.

    A copy, because it has to serve programs that do not import ctkd_det and
    must go on when ctkd_det is uninstalled.
    """
    module = package_dir('ctkd_det') / 'compat' / 'torchvision_ops.py'
    return MARK + module.read_text(encoding='utf-8')


def ops_of_mmcv() -> str:
    """Where a program that does not import ctkd_det finds mmcv's operators."""
    folder = package_dir('mmcv')
    if any(path.suffix in ('.so', '.pyd') for path in folder.glob('_ext*')):
        return FULL
    file = folder / '_ext.py'
    if not file.is_file():
        return NONE
    text = file.read_text(encoding='utf-8')
    return OLD if text.startswith(MARK) and text != code() else OURS


def write_ops_file() -> Path:
    """Write ``mmcv/_ext.py``; writing it again changes nothing.

    Raises:
        click.ClickException: if mmcv has operators of its own, or somebody
            else's ``_ext.py``, or the file cannot be written.
    """
    path = package_dir('mmcv') / '_ext.py'
    if ops_of_mmcv() == FULL:
        raise click.ClickException(f'{path.parent} is full mmcv with operators of its own: there '
                                   'is nothing to fix')
    if path.exists() and not path.read_text(encoding='utf-8').startswith(MARK):
        raise click.ClickException(f'{path} exists and is not ours: look what it is')
    try:
        path.write_text(code(), encoding='utf-8')
    except OSError as error:
        raise click.ClickException(f'{path} cannot be written ({error.strerror}): run this as the '
                                   'user who installed mmcv-lite, or install it where you may '
                                   'write') from error
    return path
