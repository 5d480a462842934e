"""Reads annotation and text files, or raises an error that says what is wrong."""
import gc
import json
from functools import partial
from pathlib import Path
from typing import List, Tuple

from .findings import FAIL, DataError, Finding, Tally, row

LFS = b'version https://git-lfs'
_BOMS = {b'\xef\xbb\xbf': 'utf-8-sig', b'\xff\xfe': 'utf-16', b'\xfe\xff': 'utf-16'}
_PACKED = {b'\x1f\x8b': 'compressed by gzip', b'PK\3\4': 'a ZIP archive'}
_NEEDED = dict(images=('id', 'file_name'), categories=('id', 'name'),
               annotations=('image_id', 'category_id'))
_NOUNS = dict(images='images', categories='categories', annotations='boxes')


def _decoded(file: Path) -> Tuple[str, str]:
    """The text of a file, and the encoding of its byte order mark or ''.

    Raises:
        DataError: if it cannot be read, or is in another encoding.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f'{file} cannot be read: {error.strerror}') from error
    if data.startswith(LFS):
        raise DataError(f'{file} is a pointer of git LFS, not the file itself', 'git lfs pull')
    if kind := next((kind for start, kind in _PACKED.items() if data.startswith(start)), ''):
        raise DataError(f'{file} is {kind}, not the file in it', 'unpack it')
    encoding = json.detect_encoding(data)
    mark = next((name for bom, name in _BOMS.items() if data.startswith(bom)), '')
    if encoding.startswith(('utf-16-', 'utf-32')):
        if not data.strip(b'\0'):
            raise DataError(f'{file} has nothing but zeros: its copy was interrupted',
                            'copy it again')
        without = ', without a byte order mark' if encoding.count('-') > 1 else ''
        raise DataError(f'{file} is encoded in {encoding[:6].upper()}{without}',
                        'save it as UTF-8')
    try:
        return data.decode(mark or 'utf-8'), mark
    except UnicodeDecodeError as error:
        raise DataError(f'{file} is not encoded in UTF-8 (byte {error.start})',
                        'save it as UTF-8') from error


def read_text(file: Path) -> str:
    """Read a text file in any encoding that starts with a byte order mark, else UTF-8.

    Raises:
        DataError: if it cannot be read, or is in another encoding.
    """
    return _decoded(file)[0]


def read_json(file: Path, unique: bool = True) -> Tuple[object, str]:
    """Parse a JSON file in any encoding that starts with a byte order mark, else UTF-8.

    Args:
        file (Path): The file.
        unique (bool): Whether a key that has two values in one dict is an
            error; Python takes the last one. Defaults to True.

    Returns:
        tuple: The content, and the encoding of the byte order mark or ''.

    Raises:
        DataError: if it is no JSON.
    """
    text, mark = _decoded(file)
    if not text.strip():
        raise DataError(f'{file} is empty', 'export it again')
    collecting = gc.isenabled()
    gc.disable()  # there are millions of new objects and no garbage; this is three times as fast
    try:
        return json.loads(text, object_pairs_hook=partial(_dict, file) if unique else None), mark
    except DataError:
        raise
    except (ValueError, RecursionError) as error:
        raise DataError(f'{file} is no complete JSON ({error})', 'export it again') from error
    finally:
        if collecting:
            gc.enable()


def _dict(file: Path, pairs: List[Tuple[str, object]]) -> dict:
    made = dict(pairs)
    if len(made) < len(pairs):
        for key, value in pairs:
            if made[key] != value:
                where = f'the row of id {made["id"]!r}' if 'id' in made else (
                    'the dict with ' + ', '.join(map(repr, list(made)[:5])))
                raise DataError(f'{file}: {where} has two values of {key!r}',
                                'keep one of them, or join them')
    return made


def is_coco(file: Path) -> bool:
    """Whether a file is JSON with the three lists of COCO's instances format."""
    try:
        return has_lists(read_json(file, unique=False)[0])
    except DataError:
        return False


def has_lists(content: object) -> bool:
    """Whether a file's content has the three lists of COCO's instances format."""
    return isinstance(content, dict) and {'images', 'annotations', 'categories'} <= content.keys()


def read(file: Path) -> Tuple[dict, List[Finding]]:
    """Read an instances file of COCO's format.

    Returns:
        tuple: The content, whose ``images``, ``categories`` and
        ``annotations`` are lists of dicts with the keys that join them; and
        findings about missing parts.

    Raises:
        DataError: if the structure is another one; the message names the
            first entry that differs.
    """
    content, mark = read_json(file)
    _check_structure(file, content)
    findings = [Finding(FAIL, file, f'the file begins with a byte order mark ({mark}), on which '
                        'MMDetection stops', 'save it as UTF-8 without BOM',
                        'without the mark')] if mark else []
    return content, findings


def _check_structure(file: Path, content: object) -> None:
    wanted = "COCO's instances format is a dict with the lists images, annotations and categories"
    if not isinstance(content, dict):
        kind = 'a list' if isinstance(content, list) else f'a {type(content).__name__}'
        raise DataError(f'{file} is no COCO annotation file: it is {kind} at its top level', wanted)
    for key in _NEEDED:
        if key not in content:
            has = ', '.join(list(map(str, content))[:8]) or 'nothing'
            raise DataError(f'{file} is no COCO annotation file: it has no {key!r}, only {has}',
                            wanted)
        if not isinstance(content[key], list):
            raise DataError(f'{file}: {key!r} is a {type(content[key]).__name__}, not a list',
                            wanted)
    for key in ('images', 'categories'):
        if not content[key]:
            raise DataError(f'{file}: {key!r} is an empty list', 'export the data set again')
    _check_kind(file, content['annotations'])
    for key, names in _NEEDED.items():
        for name in names:
            _check_key(file, key, content[key], name)


def _check_kind(file: Path, annotations: list) -> None:
    first = annotations[0] if annotations else {}
    if isinstance(first, dict) and 'bbox' not in first and 'segmentation' not in first:
        kinds = dict(segments_info='panoptic segmentation', caption='captions')
        for key, kind in kinds.items():
            if key in first:
                raise DataError(
                    f'{file} holds {kind}, not instances: annotations[0] has {key!r} and no bbox',
                    'take the instances file of the data set'
                    + (', or convert it with panopticapi' if 'panoptic' in kind else ''))


def _check_key(file: Path, key: str, entries: list, name: str) -> None:
    wrong = Tally(file, len(entries), _NOUNS[key])
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DataError(f'{file}: {key}[{index}] is {str(entry)[:40]!r}, not a dict',
                            f'each of {key} is a dict with the keys {", ".join(_NEEDED[key])}')
        value = entry.get(name)
        if value is None or value == '' or value != value or isinstance(value, (dict, list)) or (
                name == 'name' and not _can_be_written(value)):  # NaN is not itself
            wrong.add(f'{row(key, index, entry)} has {name}={value!r}' if name in entry else
                      row(key, index, entry))
    if wrong:
        finding = wrong.finding(FAIL, f'have no usable {name!r}')
        raise DataError(f'{file}: {finding.what}', f'write {name!r} into each of {key}')


def _can_be_written(value: object) -> bool:
    """Whether a text has no half of a character of UTF-16, which JSON allows and no file does."""
    try:
        return bool(str(value).encode())
    except UnicodeEncodeError:
        return False
