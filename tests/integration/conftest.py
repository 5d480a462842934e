"""The package as others get it, built once for the tests that install it."""
import shutil
import zipfile

import pytest

from helpers import ROOT, pip


@pytest.fixture(scope='session')
def source(tmp_path_factory):
    """The checkout as a release has it."""
    folder = tmp_path_factory.mktemp('source')
    for name in ('ctkd_det', 'ctkd_det_cli', 'ctkd_det_data', 'configs', 'tools', 'requirements',
                 'setup.py', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'model-index.yml',
                 'LICENSE'):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name,
                            ignore=shutil.ignore_patterns('__pycache__', '.mim'))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope='session')
def wheel(source, tmp_path_factory):
    """The built package."""
    folder = tmp_path_factory.mktemp('wheels')
    pip('wheel', '-q', '--no-deps', '--no-build-isolation', '-w', str(folder), str(source))
    return next(folder.glob('*.whl'))


@pytest.fixture(scope='session')
def installed(wheel, tmp_path_factory):
    """The built package, unpacked where nothing else of ours is in reach."""
    target = tmp_path_factory.mktemp('target')
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target
