"""Finds the annotation files and the image folders of a data set."""
import os
from pathlib import Path
from typing import List

from .describe import describe
from .findings import DataError
from .image_folder import ImageFolder

NAMES = dict(train=('train', ), val=('val', 'valid', 'validation'))
# number of images that are looked for in a folder
_TRIED = 50


def annotation_file(root: Path, part: str) -> Path:
    """Find the JSON file of ``part``, 'train' or 'val'.

    Raises:
        DataError: if there is none, or there are several; the message
            describes the folder and says what to do.
    """
    patterns = [pattern for name in NAMES[part] for pattern in (
        f'annotations/instances_{name}2017.json', f'annotations/instances_{name}*.json',
        f'annotations/{name}.json', f'instances_{name}*.json', f'{name}.json',
        f'{name}/_annotations.coco.json', f'{name}/labels.json')]
    passed = []
    for pattern in patterns:
        found = sorted(root.glob(pattern))
        # trainval holds the validation images, too
        passed += [f for f in found if 'trainval' in f.stem]
        found = [f for f in found if 'trainval' not in f.stem]
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError(f'{root} has several files for {part}: '
                            f'{", ".join(f.name for f in found)}',
                            f'give a folder with only one of them, or call the one {part}.json')
    more = (f'\n{passed[0].name} holds training and validation together, and is not taken'
            if passed else '')
    raise DataError(f'{root} has no annotations for {part}; looked for\n  '
                    + '\n  '.join(patterns) + f'{more}\n{describe(root)}')


def image_folder(root: Path, part: str, ann_file: Path, file_names: List[str]) -> Path:
    """Find the folder that the ``file_name`` entries are relative to.

    It is the folder that has most of the first images.

    Raises:
        DataError: if no folder has any of them.
    """
    # instances_train2017.json belongs to train2017/, whatever the year
    names = (ann_file.stem.removeprefix('instances_'), *NAMES[part])
    folders = [*(root / name for name in names), *(root / 'images' / n for n in names),
               root / 'images', *(root / n / i for n in names for i in ('images', 'data')),
               ann_file.parent, root,
               ann_file.parent / 'images', root / 'data', ann_file.parent / 'data',
               root / 'JPEGImages']
    tried = file_names[:_TRIED]
    for exactly in (True, False):
        best = max(folders, key=lambda folder: _number_of(folder, tried, exactly))
        if _number_of(best, tried, exactly):
            return best
    raise DataError(
        f'{file_names[0]}, the first image of {ann_file}, is in none of\n  '
        + '\n  '.join(dict.fromkeys(map(str, folders))),
        'put the images into one of these folders')


def _number_of(folder: Path, file_names: List[str], exactly: bool) -> int:
    if exactly:
        return sum(os.path.isfile(folder / name) for name in file_names)  # False if it is too long
    files = ImageFolder(folder)
    return sum(files.find(name) is not None for name in file_names)
