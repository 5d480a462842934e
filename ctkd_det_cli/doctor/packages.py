"""Checks which versions of packages are installed, and that they can be imported."""
import importlib
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Iterator, Optional, Tuple

from packaging.specifiers import SpecifierSet

from ctkd_det_data import FAIL, OK
from .rows import Row, first_line


@dataclass(frozen=True)
class Package:
    """What is needed of a package.

    Attributes:
        module: Its import name.
        names: Distributions that provide it; one of them is to be installed.
        install: The command that installs a good one.
        minimum: Oldest version that serves.
        below: First version that no longer does.
        unbounded: Distributions that count their versions otherwise, which
            ``below`` does not concern.
        needed_by: The only command that needs it; '' if all do.
    """
    module: str
    names: Tuple[str, ...]
    install: str
    minimum: str = ''
    below: str = ''
    unbounded: Tuple[str, ...] = ()
    needed_by: str = ''


PACKAGES = (
    Package('torch', ('torch', ), "pip install 'torch>=2.1' 'torchvision>=0.16'", '2.1'),
    Package('torchvision', ('torchvision', ),
            'pip install --force-reinstall torch torchvision  (both from one index)', '0.16'),
    Package('mmengine', ('mmengine', 'onedl-mmengine'), 'pip install mmengine==0.10.7', '0.10.7',
            below='1'),
    # mmdet 3.3.0 asserts mmcv < 2.2.0 when it is imported; the fork's mmdet knows its own mmcv
    Package('mmcv', ('mmcv', 'mmcv-lite', 'onedl-mmcv'), 'pip install mmcv-lite==2.1.0', '2.0',
            below='2.2', unbounded=('onedl-mmcv', )),
    Package('mmdet', ('mmdet', 'onedl-mmdetection'), 'pip install mmdet==3.3.0', '3.3'),
    Package('numpy', ('numpy', ), 'pip install numpy'),
    Package('pycocotools', ('pycocotools', ), 'pip install --force-reinstall pycocotools'),
    Package('cv2', ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python',
                    'opencv-contrib-python-headless'),
            'pip install --force-reinstall opencv-python-headless'),
    # mmengine imports pkg_resources, which version 82 no longer has
    Package('pkg_resources', ('setuptools', ), "pip install 'setuptools<82'", below='82'),
    *(Package(name, (name, ), 'pip install onnx onnxruntime', needed_by='export --format onnx')
      for name in ('onnx', 'onnxruntime')),
    Package('ctkd_det', ('ctkd_det', ), 'pip install .  (in the checkout)'),
)


def check_packages() -> Iterator[Row]:
    """Look at Python and all packages."""
    python = '.'.join(map(str, sys.version_info[:3]))
    yield Row('Python', OK if sys.version_info >= (3, 10) else FAIL, python,
              'use Python 3.10 to 3.13')
    for package in PACKAGES:
        yield check_package(package)


def check_package(package: Package) -> Row:
    """Look at one package."""
    found = [(name, v) for name in package.names if (v := _version(name)) is not None]
    what = found[0][0] if found else package.names[0]
    if package.names[1:] and len(found) > 1 and package.module != 'cv2':
        names = [name for name, _ in found]
        return Row(package.module, FAIL, f'{" and ".join(names)} overwrite each other\'s files',
                   f'pip uninstall -y {" ".join(names)} && {package.install}')
    text = found[0][1] if found else 'version unknown'
    mend = _mend(what, package) if found else package.install
    below = '' if what in package.unbounded else package.below
    wanted = _range(package.minimum, below)
    if found and not SpecifierSet(wanted).contains(text, prereleases=True):
        return Row(what, FAIL, f'{text}, need {wanted}', mend)
    try:
        importlib.import_module(package.module)
    except ModuleNotFoundError as error:
        missing = error.name == package.module
        if missing and package.needed_by:
            return Row(what, OK, f'not installed; only {package.needed_by} needs it: '
                       f'{package.install}')
        return Row(what, FAIL, 'not installed' if missing else f'{text}; {first_line(error)}', mend)
    except Exception as error:  # a broken package may fail in any way
        return Row(what, FAIL, f'{text}; import: {first_line(error)}', mend)
    return Row(what, OK, text)


def _version(name: str) -> Optional[str]:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _range(minimum: str, below: str) -> str:
    return ', '.join([f'>= {minimum}'] * bool(minimum) + [f'< {below}'] * bool(below))


def _mend(name: str, package: Package) -> str:
    """The command that replaces distribution ``name`` by a good one."""
    if len(package.names) == 1 or f' {name}==' in package.install:
        return package.install
    return f'pip uninstall -y {name} && {package.install}'  # else both would be there
