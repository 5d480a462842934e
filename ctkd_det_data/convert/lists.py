"""Reads the lists of images that say the parts: VOC's, and those that YOLO's YAML file names."""
import os
import re
from pathlib import Path, PurePath, PurePosixPath
from typing import Dict, List, Optional, Sequence, Tuple

from ..findings import DataError
from ..reading import read_text
from .files import bare
from .names import Sheet
from .parts import Listed, folder_of_part

_KEYS = dict(train='train', val='val', valid='val', validation='val', test='test')
_Images = Dict[str, List[Path]]


def voc_lists(root: Path, files: Sequence[Path], images: _Images) -> List[Listed]:
    """``train.txt``, ``val.txt`` and ``test.txt`` in each folder ``ImageSets/Main``.

    ``trainval.txt`` stands in for a ``train.txt`` that is absent or empty.

    Raises:
        DataError: if a list cannot be read, or a line names several images.
    """
    found: Dict[Tuple[Path, str], Listed] = {}
    for file in files:
        if file.suffix == '.txt' and file.parent.parts[-2:] == ('ImageSets', 'Main'):
            name = file.stem.lower()
            part = 'train' if name == 'trainval' else _KEYS.get(name)
            if part:
                found[file.parent, name] = _read(root, file, part, images)
    for folder, name in list(found):
        if name == 'trainval' and (folder, 'train') in found:
            spare = 'trainval' if found[folder, 'train'].images else 'train'
            del found[folder, spare]
    return list(found.values())


def yolo_lists(root: Path, sheets: Sequence[Sheet], files: Sequence[Path], images: _Images
               ) -> Tuple[List[Listed], List[str]]:
    """What ``train``, ``val`` and ``test`` of a YAML file name, else ``train.txt`` ... in the root.

    Returns:
        tuple: The lists and folders, and notes on those that are not there.

    Raises:
        DataError: if a list cannot be read, a line names several images, or
            two YAML files name different parts.
    """
    notes: List[str] = []
    said = [(sheet, lists) for sheet in sheets if (lists := _of_sheet(root, sheet, images, notes))]
    for sheet, lists in said[1:]:
        if _sets(lists) != _sets(said[0][1]):
            raise DataError(f'{said[0][0].file} and {sheet.file} name different parts',
                            'move the one away that is not wanted')
    if said:
        return said[0][1], notes
    return [_read(root, file, _KEYS[file.stem.lower()], images) for file in files
            if file.parent == root and file.suffix == '.txt' and file.stem.lower() in _KEYS
            and not any(image.parent == root for image in images.get(file.stem, []))], notes


def _sets(lists: Sequence[Listed]) -> Dict[str, set]:
    return {part: set().union(*(named.images for named in lists if named.part == part))
            for part in ('train', 'val', 'test')}


def _of_sheet(root: Path, sheet: Sheet, images: _Images, notes: List[str]) -> List[Listed]:
    found = []
    for key, part in _KEYS.items():
        values = sheet.content.get(key) or []
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, str):
                continue
            place = _place(root, sheet, value)
            if place is None:
                notes.append(f'{sheet.file.relative_to(root)}: {key} is {str(value)!r}, which is '
                             f'not below {root}')
            elif place.is_file():
                found.append(_read(root, place, part, images))
            else:
                found.append(Listed(part, place, {image for group in images.values()
                                                  for image in group
                                                  if image.is_relative_to(place)}))
    return found


def _place(root: Path, sheet: Sheet, value: str) -> Optional[Path]:
    """The list or folder that a YAML file names, as it is below the root.

    The name may be a path of another machine. Roboflow's ``../train/images``
    is the folder ``train/images`` beside the YAML file.
    """
    plain = value.replace('\\', '/')
    parts = [part for part in PurePosixPath(plain).parts if part not in ('/', '.', '..')]
    folders = [sheet.file.parent, root]
    exact = [folder / plain for folder in (
        sheet.file.parent / str(sheet.content.get('path') or ''), *folders)]
    ends = [folder.joinpath(*parts[i:]) for i in range(len(parts)) for folder in folders]
    for place in map(Path, map(os.path.normpath, (*exact, *ends))):
        if place.is_relative_to(root) and _exists(place):
            return place
    return None


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except OSError:  # no name that a file can have
        return False


def _read(root: Path, file: Path, part: str, images: _Images) -> Listed:
    listed = Listed(part, file, set())
    for line in filter(str.strip, read_text(file).splitlines()):
        image = _meant(root, file, part, line.strip(), images)
        if image:
            listed.images.add(image)
        else:
            listed.unknown.append(line.strip())
    return listed


def _meant(root: Path, file: Path, part: str, line: str, images: _Images) -> Optional[Path]:
    """The image that a line names.

    A line is a whole name, since names have spaces; VOC's lists of one class
    have -1, 0 or 1 behind it. A path must agree with the image's path as far
    as both go.

    Raises:
        DataError: if it may be several.
    """
    for text in (line, re.sub(r'\s+(-1|0|1)$', '', line)):
        path = PurePosixPath(text.replace('\\', '/'))
        wanted = _plain(path)
        found = [image for image in images.get(bare(text), [])
                 if all(a == b for a, b in zip(reversed(wanted), reversed(_plain(
                     image.relative_to(root))), strict=False))]
        ranks = {image: (folder_of_part(image, root)[0] == part,
                         len(os.path.commonpath([image, file])), image.name == path.name)
                 for image in found}
        found = [image for image in found if ranks[image] == max(ranks.values())]
        if len(found) > 1:
            raise DataError(f'{file}: {line!r} may be {found[0]} or {found[1]}',
                            'write the path of the image')
        if found:
            return found[0]
    return None


def _plain(path: PurePath) -> Tuple[str, ...]:
    return (*(p for p in path.parts[:-1] if p not in ('/', '.', '..') and p[1:] != ':'),
            bare(path.name))
