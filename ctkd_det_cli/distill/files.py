"""Writes configs, and replaces those that it wrote itself and nobody has edited."""
import hashlib
import re
import shlex
from pathlib import Path
from typing import Dict

import click

from ..options import writing

# the checksum of what follows
_HEADER = '# Written by ctkd-det distill. An edited file is not replaced ({}).\n'
_SIGNED = re.compile(re.escape(_HEADER).replace(re.escape('{}'), '([0-9a-f]{32})') + '(.*)', re.S)


def signed(text: str) -> str:
    """A config's text with a first line that tells whether it was edited since."""
    return _HEADER.format(_checksum(text)) + text


def refuse_edited(texts: Dict[Path, str], force: bool) -> None:
    """See, before anything is written, that no file of somebody else would be replaced.

    Args:
        texts (dict): What each file is to say.
        force (bool): Whether to replace any file.

    Raises:
        click.ClickException: if a file was not written by this command, or
            was edited since, says something else, and ``force`` is False.
    """
    for out, text in texts.items():
        if not out.exists() or force:
            continue
        # it may be in another encoding
        found = out.read_text(encoding='utf-8', errors='replace')
        # a file of an earlier version has no first line of ours
        if text not in (found, signed(found)) and not _is_as_written(found):
            raise click.ClickException(
                f'{out} exists and says something else, which you or another program wrote. To '
                f'train what it says: ctkd-det train {shlex.quote(str(out))}; to replace it: '
                '--force; to write another: --out FILE')


def write(texts: Dict[Path, str]) -> None:
    """Write all files.

    Raises:
        click.ClickException: if one cannot be written.
    """
    for out, text in texts.items():
        with writing(out, '--out'):
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(text, encoding='utf-8')


def _is_as_written(text: str) -> bool:
    match = _SIGNED.fullmatch(text)
    return bool(match) and match[1] == _checksum(match[2])


def _checksum(text: str) -> str:
    return hashlib.md5(text.encode(errors='replace'), usedforsecurity=False).hexdigest()
