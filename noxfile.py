"""The combinations of versions that are claimed to work; docs/compatibility.md has the results.

    nox -l                          list them
    nox -s tests-3.13               the pinned versions on Python 3.13
    nox -s 'torch(newest)' -- tests/models    a part of the suite
"""
from pathlib import Path

import nox

nox.options.sessions = ['lint', 'tests']
PINNED = ('-c', 'requirements/constraints.txt')
PARTS = ('runtime', 'report', 'deploy', 'tests')
TORCH = dict(
    # with the last numpy that it was built for
    oldest=('torch==2.1.2', 'torchvision==0.16.2', 'numpy<2', 'opencv-python<4.12'),
    newest=('torch', 'torchvision'))


def _install(session: nox.Session, *packages: str, parts: tuple = PARTS) -> None:
    requirements = [argument for part in parts for argument in ('-r', f'requirements/{part}.txt')]
    session.install(*requirements, *packages)
    session.install('--no-deps', '-e', '.')


def _test(session: nox.Session) -> None:
    session.run('python', '-m', 'pytest', '-n', 'auto', '--dist', 'loadfile',
                '--no-loadscope-reorder', *session.posargs, env=dict(OMP_NUM_THREADS='1'))


@nox.session(python=['3.10', '3.11', '3.12', '3.13'])
def tests(session: nox.Session) -> None:
    """The suite with the pinned versions and mmcv-lite."""
    _install(session, *PINNED, parts=(*PARTS, 'mminstall'))
    _test(session)


@nox.session(python='3.11')
@nox.parametrize('version', list(TORCH), ids=list(TORCH))
def torch(session: nox.Session, version: str) -> None:
    """The suite with the oldest and the newest torch."""
    _install(session, *TORCH[version], parts=(*PARTS, 'mminstall'))
    _test(session)


@nox.session(python='3.11')
def forks(session: nox.Session) -> None:
    """The suite with the maintained forks of MMEngine and MMDetection beside mmcv-lite."""
    _install(session, *PINNED)
    session.install('onedl-mmengine==0.10.12', 'onedl-mmdetection==3.5.1', 'opencv-python', *PINNED)
    # it asks for mmengine, which would overwrite the fork
    session.install('--no-deps', 'mmcv-lite==2.1.0')
    _test(session)


@nox.session(python='3.11')
def lint(session: nox.Session) -> None:
    """Style."""
    session.install('ruff', *PINNED)
    session.run('ruff', 'check', '.')


@nox.session(python='3.11')
def build(session: nox.Session) -> None:
    """The wheel and the source distribution, as an index takes them."""
    session.install('build', 'twine')
    folder = session.create_tmp()
    session.run('python', '-m', 'build', '--outdir', folder)
    session.run('twine', 'check', '--strict', *map(str, Path(folder).glob('ctkd_det-*')))
