"""Reads a user's config with what lies beside it."""
import sys
from pathlib import Path
from typing import Any, Optional, Sequence, Union

import click

from .mistakes import sentence
from .places import load_package

SCOPE = 'ctkd_det'
# what a config must have so that something is trained
TRAINED = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')


def find_modules_beside(config: Union[str, Path]) -> None:
    """Let ``custom_imports`` find modules in the config's folder.

    The folder comes last, so that a config called ``random.py`` hides nothing.
    """
    folder = str(Path(config).resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)


def modules_beside(config: Path, imported: Sequence[str]) -> Optional[Path]:
    """The config's folder, if it is where one of the imported modules was found; else None."""
    folder = Path(config).resolve().parent
    for name in imported:
        file = getattr(sys.modules.get(name.partition('.')[0]), '__file__', None)
        if file and folder in list(Path(file).resolve().parents)[:2]:
            return folder
    return None


def check_parts(cfg: Any, path: Path, does: str, parts: Sequence[str]) -> None:
    """Refuse a config without what a command needs.

    Args:
        cfg (Config): As read from ``path``.
        path (Path): The config file.
        does (str): What it cannot do, as in 'trains nothing'.
        parts (Sequence[str]): Names that it must have.

    Raises:
        click.ClickException: if one is missing.
    """
    missing = [part for part in parts if not cfg.get(part)]
    if missing:
        raise click.ClickException(f'{path} {does}: it has no {" and no ".join(missing)}')


def read_config(path: Path) -> Any:
    """Read a config file.

    Returns:
        Config: What it says.

    Raises:
        click.ClickException: if it cannot be read, with the reason.
    """
    from mmengine.config import Config
    find_modules_beside(path)
    try:
        return Config.fromfile(path)
    except Exception as error:  # a config is code, which fails in any way there is
        if SCOPE in str(error) and SCOPE not in sys.modules:
            load_package()  # mmengine finds what a base calls ctkd_det:: once it is imported
            return read_config(path)
        raise click.ClickException(f'{path} cannot be read: {_reason(error)}') from error


def _reason(error: Exception) -> str:
    """What an error says that does not say what to do."""
    if isinstance(error, RecursionError):
        return 'a _base_ comes back to itself, of this config or of one that it inherits from'
    if isinstance(error, UnicodeDecodeError) or 'U+FEFF' in str(error):
        return ('it, or a _base_ of it, is not in plain UTF-8. Save it as UTF-8 without BOM '
                f'({sentence(error)})')
    return sentence(error)
