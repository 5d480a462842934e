"""Turns configs into code as people write it: ``dict(...)``, packed to 100 columns."""
from pathlib import Path
from typing import Any

import click

# what MMEngine replaces by the config's folder
_FOLDER = '{{ fileDirname }}/'
STYLE = dict(based_on_style='pep8', column_limit=99,
             split_before_expression_after_opening_paren=True,
             split_all_top_level_comma_separated_values=True)


class Name(str):
    """A variable of the config file; written without quotes."""
    __repr__ = str.__str__


def portable(value: Any, folder: Path) -> Any:
    """Paths below a config's folder as MMEngine's ``{{ fileDirname }}``.

    So the folder can be moved, or copied to another machine. MMEngine puts the
    folder's name into the text of the file: one with a quotation mark in it
    would end the path there, and is written out.
    """
    if isinstance(value, dict):
        return {key: portable(v, folder) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(portable(v, folder) for v in value)
    if isinstance(value, str) and not isinstance(value, Name):
        for prefix in (f'{folder.as_posix()}/', f'{folder.resolve().as_posix()}/'):
            if not set('\'"') & set(prefix) and value.startswith(prefix):
                return _FOLDER + value.removeprefix(prefix)
    return value


def placed(text: str, folder: Path) -> str:
    """A config's text with the folder that it will lie in, to be read elsewhere."""
    return text.replace(_FOLDER, f'{folder.as_posix()}/')


def assignment(name: str, value: Any) -> str:
    """``name = value``, with a line break at the end.

    Raises:
        click.ClickException: if a text in it contains ``{{``. MMEngine replaces that in the
            config's text, quotation marks and all, so it could become code.
    """
    from yapf.yapflib.yapf_api import FormatCode  # mmengine formats its dumps with it, too
    return FormatCode(f'{name} = {_code(value)}', style_config=STYLE)[0]


def _code(value: Any) -> str:
    """A value in one line; a dict as a call where its keys are names."""
    if isinstance(value, dict):
        if all(isinstance(key, str) and key.isidentifier() for key in value):
            return f'dict({", ".join(f"{key}={_code(v)}" for key, v in value.items())})'
        return f'{{{", ".join(f"{key!r}: {_code(v)}" for key, v in value.items())}}}'
    if isinstance(value, list):
        return f'[{", ".join(map(_code, value))}]'
    if isinstance(value, tuple):
        return f'({", ".join(map(_code, value))}{"," * (len(value) == 1)})'
    if isinstance(value, str) and '{{' in value.removeprefix(_FOLDER):
        raise click.ClickException(f"{value!r} cannot be written into a config, because MMEngine "
                                   "replaces '{{': rename it")
    return repr(value)
