"""Finds the annotation files and the image folders of a data set, in any letter case."""
import glob
import os
from pathlib import Path
from typing import List

from .describe import describe
from .findings import DataError
from .image_folder import ImageFolder
from .reading import is_coco

NAMES = dict(train=('train', ), val=('val', 'valid', 'validation'))
_PREFIX = 'instances_'
# number of images that are looked for in a folder
_TRIED = 50


def annotation_file(root: Path, part: str) -> Path:
    """Find the JSON file of ``part``, 'train' or 'val'.

    One that is spelt as here goes before all that differ in letter case, as
    CVAT's ``instances_Train.json`` does.

    Raises:
        DataError: if there is none, or there are several; the message
            describes the folder and says what to do.
    """
    patterns = [pattern for name in NAMES[part] for pattern in (
        f'annotations/instances_{name}2017.json', f'annotations/instances_{name}*.json',
        f'annotations/{name}.json', f'instances_{name}*.json', f'{name}.json',
        f'{name}/_annotations.coco.json', f'{name}/labels.json')]
    passed = []
    for pattern in (*patterns, *map(_in_any_case, patterns)):
        found = sorted(root.glob(pattern))
        # trainval holds the validation images, too
        passed += [f for f in found if 'trainval' in f.stem.lower()]
        found = [f for f in found if 'trainval' not in f.stem.lower()
                 and (f.stem.lower() != 'labels' or is_coco(f))]  # often a list of classes
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError(f'{root} has several files for {part}: '
                            f'{", ".join(f.name for f in found)}',
                            f'give a folder with only one of them, or call the one {part}.json')
    more = (f'\n{passed[0].name} holds training and validation together, and is not taken'
            if passed else '')
    what, mend = describe(root)
    raise DataError(f'{root} has no annotations for {part}; looked for\n  '
                    + '\n  '.join(patterns) + f'{more}\n{what}', mend)


def image_folder(root: Path, part: str, ann_file: Path, file_names: List[str]) -> Path:
    """Find the folder that the ``file_name`` entries are relative to.

    It is the folder that has most of the first images.

    Raises:
        DataError: if no folder has any of them, or two do whose names differ
            in letter case only.
    """
    # instances_train2017.json belongs to train2017/, whatever the year
    stem = ann_file.stem[len(_PREFIX) if ann_file.stem.lower().startswith(_PREFIX) else 0:]
    names = (stem, *(name for name in NAMES[part] if name != stem.lower()))
    places = [*((root, name) for name in names), *((root, f'images/{n}') for n in names),
              (root, 'images'), *((root, f'{n}/{i}') for n in names for i in ('images', 'data')),
              (ann_file.parent, ''), (root, ''), (ann_file.parent, 'images'), (root, 'data'),
              (ann_file.parent, 'data'), (root, 'JPEGImages')]
    folders = list(dict.fromkeys(folder for place in places for folder in _spelt(*place)))
    tried = file_names[:_TRIED]
    for exactly in (True, False):
        numbers = {folder: _number_of(folder, tried, exactly) for folder in folders}
        best = max(folders, key=numbers.__getitem__)
        if numbers[best]:
            for other in folders:
                if numbers[other] == numbers[best] and _differ_in_case(best, other):
                    raise DataError(f'the images of {ann_file} are in {best} as well as in {other}',
                                    'rename the folder that is not meant')
            return best
    raise DataError(
        f'{file_names[0]}, the first image of {ann_file}, is in none of\n  '
        + '\n  '.join(map(str, folders)), 'put the images into one of these folders')


def _in_any_case(pattern: str) -> str:
    """A pattern of ``glob`` for the same letters, large or small."""
    return ''.join(f'[{c.lower()}{c.upper()}]' if c.isalpha() else c for c in pattern)


def _spelt(root: Path, name: str) -> List[Path]:
    """The folder of that name; if there is none, those that differ in letter case."""
    exact = root / name
    if exact.is_dir():
        return [exact]
    others = root.glob(_in_any_case(glob.escape(name)))
    return sorted(other for other in others if other.is_dir()) or [exact]


def _differ_in_case(folder: Path, other: Path) -> bool:
    return (folder != other and str(folder).lower() == str(other).lower()
            and not folder.samefile(other))


def _number_of(folder: Path, file_names: List[str], exactly: bool) -> int:
    if exactly:
        return sum(os.path.isfile(folder / name) for name in file_names)  # False if it is too long
    files = ImageFolder(folder)
    return sum(files.find(name) is not None for name in file_names)
