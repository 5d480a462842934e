"""Reads a user's config with what lies beside it."""
import sys
from pathlib import Path
from typing import Any

import click

from .mistakes import sentence


def find_modules_beside(config: Path) -> None:
    """Let ``custom_imports`` find modules in the config's folder.

    The folder comes last, so that a config called ``random.py`` hides nothing.
    """
    folder = str(Path(config).resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)


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
        raise click.ClickException(f'{path} cannot be read: {sentence(error)}') from error
