"""Where the configs and tools lie, found without importing any package."""
import re
from importlib.util import find_spec
from pathlib import Path

import click


def package_dir(package: str) -> Path:
    """Folder of an installed package.

    Raises:
        click.ClickException: if it is not installed.
    """
    spec = find_spec(package)
    if spec is None:
        raise click.ClickException(f'{package} is not installed; ctkd-det doctor says what to do')
    return Path(next(iter(spec.submodule_search_locations)))


def shipped(package: str, what: str) -> Path:
    """Folder ``what`` ('tools' or 'configs') of mmdet or of ctkd_det.

    Beside the package in a checkout, in its ``.mim`` when installed.

    Raises:
        click.ClickException: if it is in neither place.
    """
    package_folder = package_dir(package)
    for folder in (package_folder / '.mim' / what, package_folder.parent / what):
        if folder.is_dir():
            return folder
    raise click.ClickException(f'{package} in {package_folder} came without its {what}; '
                               f'install it anew')


def reference(path: Path) -> str:
    """What a config file calls another: ``mmdet::...`` or ``ctkd_det::...``, or its absolute path.

    A name where one exists, so that the file can be used on another machine.
    mmengine finds the configs of a name in ``.mim``, which a checkout that was
    never installed has not, and takes no folder with + or . in it (``gn+ws``,
    ``legacy_1.x``).
    """
    for package in ('mmdet', 'ctkd_det'):
        root = package_dir(package) / '.mim' / 'configs'
        if not path.resolve().is_relative_to(root.resolve()):
            continue
        name = path.resolve().relative_to(root.resolve()).as_posix()
        if re.match(r'\w+/', name):
            return f'{package}::{name}'
    return str(path)


def keep_config(config: Path, work_dir: str) -> None:
    """Refuse a work directory in which MMEngine's copy of a config would replace the config.

    Raises:
        click.ClickException: if it is the config's own folder.
    """
    from ctkd_det.literal_config import is_dump
    if Path(work_dir).resolve() == config.resolve().parent and not is_dump(config):
        raise click.ClickException(f'--work-dir {work_dir}: MMEngine writes its own copy of the '
                                   f'config into the work directory, and would replace {config} '
                                   'there. Take another folder')


def load_package() -> None:
    """Import ctkd_det, which lets mmdet be imported.

    Raises:
        click.ClickException: if the installed packages do not work together.
    """
    try:
        import ctkd_det  # noqa: F401
    except Exception as error:  # a torchvision of another torch raises RuntimeError, mmdet asserts
        raise click.ClickException(f'ctkd_det cannot be imported ({error}); ctkd-det doctor says '
                                   'what to do') from error
