"""The file that gives mmcv-lite its operators in every program, on request only."""
from pathlib import Path

import click

from ..places import package_dir

FULL, OURS, NONE = 'full', 'ours', 'none'
MARK = '# written by `ctkd-det doctor --fix`; delete this file to undo it\n'
# Runs torchvision_ops.py as this module. Importing it from ctkd_det would import mmdet, which is
# waiting for this very module.
CODE = MARK + '''\
from importlib.util import find_spec as f, spec_from_file_location as s
s(__name__, f('ctkd_det').submodule_search_locations[0] + '/compat/torchvision_ops.py').loader.\
exec_module(__import__('sys').modules[__name__])
'''


def ops_of_mmcv() -> str:
    """Where a program that does not import ctkd_det finds mmcv's operators."""
    folder = package_dir('mmcv')
    if any(path.suffix in ('.so', '.pyd') for path in folder.glob('_ext*')):
        return FULL
    return OURS if (folder / '_ext.py').is_file() else NONE


def write_ops_file() -> Path:
    """Write ``mmcv/_ext.py``; writing it again changes nothing.

    Raises:
        click.ClickException: if mmcv has operators of its own, or somebody
            else's ``_ext.py``.
    """
    path = package_dir('mmcv') / '_ext.py'
    if ops_of_mmcv() == FULL:
        raise click.ClickException(f'{path.parent} is full mmcv with operators of its own: there '
                                   'is nothing to fix')
    if path.exists() and not path.read_text(encoding='utf-8').startswith(MARK):
        raise click.ClickException(f'{path} exists and is not ours: look what it is')
    path.write_text(CODE, encoding='utf-8')
    return path
