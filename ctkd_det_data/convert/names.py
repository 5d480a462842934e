"""The names of YOLO's classes, which stand beside the labels, in several kinds of files."""
import os
import re
import reprlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from ..findings import DataError
from ..reading import read_text
from .unique_keys import load

_LISTS = ('classes.txt', 'obj.names')
_NAMES = re.compile(r'^names\s*:', re.MULTILINE)


@dataclass
class Sheet:
    """A file that names the classes.

    Attributes:
        file: Where it is.
        names: Name of each label.
        content: All that it says, if it is YAML.
    """
    file: Path
    names: Dict[int, str]
    content: dict = field(default_factory=dict)


def read_sheets(root: Path, files: Sequence[Path]) -> List[Sheet]:
    """Read all files that name classes, ``data.yaml`` of the folder itself first.

    Args:
        root (Path): The folder.
        files (Sequence[Path]): The files below it.

    Raises:
        DataError: if there is none, one cannot be understood, or two differ:
            then it is not clear which one the labels are counted by.
    """
    sheets = [sheet for file in files if file.suffix.lower() in ('.yaml', '.yml')
              and (sheet := _yaml(root, file))]
    sheets += [Sheet(file, _lines(file)) for file in files if file.name in _LISTS]
    if not sheets:
        raise DataError(f'{root}: the names of the classes are in no data.yaml, classes.txt or '
                        'obj.names', 'write data.yaml with names: [...]')
    sheets.sort(key=lambda sheet: (sheet.file != root / 'data.yaml', sheet.file.parent != root))
    for sheet in sheets[1:]:
        if sheet.names != sheets[0].names:
            raise DataError(f'{sheets[0].file} and {sheet.file} name different classes: '
                            f'{_some(sheets[0].names)} and {_some(sheet.names)}',
                            'delete the one that the labels are not counted by, or move it away')
    return sheets


def _some(names: Dict[int, str]) -> str:
    shown = ', '.join(f'{label}: {name}' for label, name in list(names.items())[:4])
    return f'{len(names)} ({shown}{", ..." if len(names) > 4 else ""})'


def _yaml(root: Path, file: Path) -> Optional[Sheet]:
    try:
        import yaml
    except ImportError as error:
        raise DataError(f'{file} cannot be read without PyYAML', 'pip install pyyaml') from error
    text = read_text(file)
    try:
        content = load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if file.name != 'data.yaml' and not _NAMES.search(text):
            return None  # of another program
        problem = getattr(error, 'problem', None)
        raise DataError(f'{file} is no YAML' + (f' ({problem:.200})' if problem else ''),
                        'correct it') from error
    names = content.get('names') if isinstance(content, dict) else None
    if not names:
        return None
    if isinstance(names, str):
        named = _named_file(root, file, content, names)
        return Sheet(file, _lines(named), content) if named else None
    count = content.get('nc')
    if isinstance(names, list):
        if type(count) is int and count != len(names):
            raise DataError(f'{file}: nc is {count}, and names has {len(names)}',
                            'make them agree')
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        raise DataError(f'{file}: names is {_short(names)}', 'write names: [first, second, ...]')
    return Sheet(file, _distinct(file, {_label(file, key): _name(file, value)
                                        for key, value in names.items()}, len(names)), content)


def _named_file(root: Path, file: Path, content: dict, name: str) -> Optional[Path]:
    """The list that ``names`` is the name of; None: the file is of another program."""
    for folder in (file.parent, root, file.parent / str(content.get('path') or '')):
        place = Path(os.path.normpath(folder / name))
        # not a file of this machine that a stranger's data set names
        if place.is_relative_to(root) and place.is_file():
            return place
    if file.name != 'data.yaml' and not {'train', 'val', 'nc'} & content.keys():
        return None
    raise DataError(f'{file}: names is {_short(name)}, and there is no such file beside it',
                    'put that file there, or write names: [first, second, ...]')


def _label(file: Path, key: Any) -> int:
    # '0' and '10' are numbers although they are quoted; yes is not 1
    if isinstance(key, bool) or not str(key).strip().isdecimal():
        raise DataError(f'{file}: {_short(key)} in names is no label', 'labels are counted from 0')
    return int(key)


def _name(file: Path, value: Any) -> str:
    # YAML reads yes, no, on and off as booleans, ~ as nothing, 1.0 and 2020-01-01 as values
    if not isinstance(value, str) and type(value) is not int:
        raise DataError(f'{file}: YAML reads one of the names as {_short(value)}, which is no text',
                        "write it in quotes, as 'no'")
    if not str(value).strip():
        raise DataError(f'{file}: one of the names is empty', 'write one')
    return str(value).strip()


def _short(value: Any) -> str:
    """The beginning of a value's text; aliases of YAML can make it as long as they like."""
    return reprlib.repr(value)[:80]


def _lines(file: Path) -> Dict[int, str]:
    lines = [line.strip() for line in read_text(file).rstrip().splitlines()]
    if not all(lines):
        raise DataError(f'{file}, line {lines.index("") + 1} is empty, so it is not clear which '
                        'label the next name has', 'delete the line, or write a name')
    return _distinct(file, dict(enumerate(lines)), len(lines))


def _distinct(file: Path, names: Dict[int, str], number: int) -> Dict[int, str]:
    """The names by label; a label or a name that is there twice is an error."""
    twice = sorted({name for name in names.values() if list(names.values()).count(name) > 1})
    if twice or len(names) < number:
        raise DataError(f'{file}: ' + (f'several classes are called {twice[0]!r}' if twice else
                                       'a label has two names'), 'give each class its own name')
    if not names:
        raise DataError(f'{file} names no class', 'write names: [first, second, ...]')
    return dict(sorted(names.items()))
