"""Packaging: what pyproject.toml cannot say.

``configs``, ``tools`` and the model index ship in ``ctkd_det/.mim/``, where mim
and ``_base_ = 'ctkd_det::...'`` look for them. In an editable install they are
links into the checkout.
"""
import os
import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
MIM_CONTENT = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """Adds ``ctkd_det/.mim/``."""

    def run(self) -> None:
        """Build the package, then the folder."""
        super().run()
        package = ROOT if self.editable_mode else Path(self.build_lib)
        target = package / 'ctkd_det' / '.mim'
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in MIM_CONTENT:
            if not (self.editable_mode and _link(target, name)):
                _copy(target, name)


def _link(target: Path, name: str) -> bool:
    """Link a file or folder of the checkout; False where the user may not, as on Windows."""
    try:
        (target / name).symlink_to(Path(os.path.relpath(ROOT, target)) / name)
    except OSError:
        return False
    return True


def _copy(target: Path, name: str) -> None:
    if (ROOT / name).is_dir():
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns('__pycache__'))
    else:
        shutil.copy(ROOT / name, target / name)


def long_description() -> str:
    """The README as the package index shows it, which cannot follow relative links.

    They lead to the repository if pyproject.toml names it as ``Source``; else
    their text alone remains.
    """
    readme = (ROOT / 'README.md').read_text(encoding='utf-8')
    source = re.search(r'^Source = "(.+)"$', (ROOT / 'pyproject.toml').read_text(), re.M)
    images, links = (r'!\[([^]]*)\]\((?!\w+:)([^)]+)\)\n?',
                     r'(?<!!)\[([^]]+)\]\((?!\w+:|#)([^)]+)\)')
    if source is None:
        return re.sub(links, r'\1', re.sub(images, '', readme))
    readme = re.sub(images, rf'![\1]({source[1]}/raw/main/\2)\n', readme)
    return re.sub(links, rf'[\1]({source[1]}/blob/main/\2)', readme)


setup(long_description=long_description(), long_description_content_type='text/markdown',
      cmdclass={'build_py': BuildWithMim})
