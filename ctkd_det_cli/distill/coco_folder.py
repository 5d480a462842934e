"""Finds images and annotations in a folder with a data set in COCO's format.

Imports nothing but the standard library and click, so that ``doctor`` can use
it on a broken installation.
"""
import json
from dataclasses import dataclass
from pathlib import Path
from typing import List, Set, Tuple

import click

NAMES = dict(train=('train', ), val=('val', 'valid', 'validation'))


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    Attributes:
        ann_file: Its JSON file.
        images: The folder that its ``file_name`` entries are relative to.
        content: What the JSON file says.
    """
    ann_file: Path
    images: Path
    content: dict

    @property
    def used(self) -> Set[int]:
        """set[int]: The categories that occur."""
        return {annotation['category_id'] for annotation in self.content['annotations']}

    @property
    def has_masks(self) -> bool:
        """bool: Whether every annotation has a segmentation."""
        return all(a.get('segmentation') for a in self.content['annotations'])


@dataclass(frozen=True)
class CocoFolder:
    """A data set: training and validation images.

    Attributes:
        classes: Names by label. mmdet's labels are positions in the list of
            categories of the JSON file.
    """
    root: Path
    train: Split
    val: Split
    classes: Tuple[str, ...]


def find_coco(root: Path) -> CocoFolder:
    """Find the parts of a data set in one of the usual layouts.

    ``annotations/instances_train2017.json`` with ``train2017/`` (COCO),
    ``train.json`` with ``train/``, ``train/_annotations.coco.json``
    (Roboflow), and their mixtures.

    Raises:
        click.ClickException: if something is missing, with what was looked
            for, or training and validation have different classes.
    """
    root = root.expanduser().resolve()
    if not root.is_dir():
        raise click.ClickException(f'there is no folder {root}')
    train, val = _split(root, 'train'), _split(root, 'val')
    classes = [_class_names(split.content['categories'], train.used | val.used)
               for split in (train, val)]
    if classes[0] != classes[1]:
        raise click.ClickException(
            'training and validation must have the same categories in the same order, because '
            f'labels are positions in that list\n{train.ann_file}: {classes[0]}\n'
            f'{val.ann_file}: {classes[1]}')
    if len(set(classes[0])) < len(classes[0]):
        raise click.ClickException(f'{train.ann_file} has two categories of one name: {classes[0]}')
    return CocoFolder(root, train, val, classes[0])


def _split(root: Path, part: str) -> Split:
    ann_file = _ann_file(root, part)
    try:
        content = json.loads(ann_file.read_text(encoding='utf-8'))
        assert content['categories'] and 'annotations' in content
        file_name = content['images'][0]['file_name']
    except (AssertionError, ValueError, KeyError, IndexError, TypeError) as error:
        raise click.ClickException(f'{ann_file} is no COCO annotation file with images, '
                                   f'annotations and categories ({error!r})') from error
    return Split(ann_file, _images(root, part, ann_file, file_name), content)


def _ann_file(root: Path, part: str) -> Path:
    patterns = [pattern for name in NAMES[part] for pattern in (
        f'annotations/instances_{name}2017.json', f'annotations/instances_{name}*.json',
        f'annotations/{name}.json', f'instances_{name}*.json', f'{name}.json',
        f'{name}/_annotations.coco.json')]
    for pattern in patterns:
        found = sorted(root.glob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            raise click.ClickException(f'{root} has several files for {part}: '
                                       f'{", ".join(f.name for f in found)}')
    raise click.ClickException(f'{root} has no annotations for {part}; looked for\n  '
                               + '\n  '.join(patterns))


def _images(root: Path, part: str, ann_file: Path, file_name: str) -> Path:
    # instances_train2017.json belongs to train2017/, whatever the year
    names = (ann_file.stem.removeprefix('instances_'), *NAMES[part])
    folders: List[Path] = [*(root / name for name in names), *(root / 'images' / n for n in names),
                           root / 'images', ann_file.parent, root]
    for folder in folders:
        if (folder / file_name).is_file():
            return folder
    raise click.ClickException(
        f'{file_name}, the first image of {ann_file}, is in none of\n  '
        + '\n  '.join(dict.fromkeys(map(str, folders))))


def _class_names(categories: List[dict], used: Set[int]) -> Tuple[str, ...]:
    """Without Roboflow's first entry, which no box has: it names the group of the others."""
    groups = {c.get('supercategory') for c in categories}
    return tuple(c['name'] for c in categories if c['id'] in used or c['name'] not in groups
                 or c.get('supercategory') != 'none')
