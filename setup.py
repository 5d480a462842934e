"""Packaging; ``configs``, ``tools`` and the model index ship as mim packages ship them."""
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
MIM_CONTENT = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """Adds ``ctkd_det/.mim/``, where mim and ``_base_ = 'ctkd_det::...'`` look."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / 'ctkd_det' / '.mim'
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in MIM_CONTENT:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target / name,
                                ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copy(ROOT / name, target / name)


def requirements(name: str) -> list:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


def version() -> str:
    namespace = (ROOT / 'ctkd_det' / 'version.py').read_text()
    return namespace.split("__version__ = '")[1].split("'")[0]


setup(
    name='ctkd_det',
    version=version(),
    description='Curriculum temperature knowledge distillation for MMDetection detectors',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['ctkd_det', 'ctkd_det.*', 'ctkd_det_cli', 'ctkd_det_cli.*']),
    entry_points=dict(console_scripts=['ctkd-det = ctkd_det_cli.main:cli']),
    package_data={'ctkd_det.visualization.report': ['*.html', '*.css', '*.js']},
    python_requires='>=3.10',
    # mmcv, mmengine and mmdet are an extra: a requirement would install them over a fork
    install_requires=requirements('runtime'),
    extras_require={
        'mm': requirements('mminstall'),
        'report': requirements('report'),
        'optional': requirements('optional'),
        'tests': requirements('tests'),
        'docs': requirements('docs'),
    },
    cmdclass={'build_py': BuildWithMim},
    classifiers=[
        'License :: OSI Approved :: Apache Software License',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
)
