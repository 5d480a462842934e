"""Checks that training and validation have the same classes and different images."""
from pathlib import Path
from typing import Iterator, List

from .check import Part
from .findings import FAIL, WARN, Finding
from .rows import class_names

# share of the validation images
_MANY = 0.5


def same_classes(train: Part, val: Part) -> Iterator[Finding]:
    """Bring the categories of ``val`` into the order of ``train``, if the names allow it."""
    used = {box['category_id'] for part in (train, val) for box in part.content['annotations']}
    names, others = (class_names(part.content['categories'], used) for part in (train, val))
    if names == others:
        return
    absent = [name for name in names if name not in others]
    unknown = [name for name in others if name not in names]
    with_boxes = {box['category_id'] for box in val.content['annotations']}
    rows = {entry['name']: entry for entry in val.content['categories']}
    what = (f'its categories are {_list(others)}, those of {train.file.name} {_list(names)}; '
            'labels are positions in that list')
    mend = 'training and validation must have the same categories in the same order'
    lost = [name for name in unknown if rows[name]['id'] in with_boxes]
    if lost or len(absent) == len(names):
        yield Finding(FAIL, val.file, what + (f'. Boxes of {_list(lost)} would be unknown to the '
                                              'student' if lost else ''), mend)
        return
    free = max((e['id'] for e in val.content['categories'] if isinstance(e['id'], int)), default=0)
    val.content['categories'] = [
        rows.get(name) or dict(id=free + 1 + i, name=name) for i, name in enumerate(names)]
    yield Finding(FAIL, val.file, what, mend, f'in the order of {train.file.name}')


def apart(train: Part, val: Part) -> Iterator[Finding]:
    """Find images that are in the training set and in the validation set."""
    seen, paths = set(_paths(train)), _paths(val)
    if seen == set(paths):
        return  # all images are the same: a deliberate test, which the summary mentions
    both = [path for path in paths if path in seen]
    if both:
        share = len(both) / len(paths)
        yield Finding(
            FAIL if share >= _MANY else WARN, val.file,
            f'{len(both)} of {len(paths)} images are also in {train.file.name}; the first: '
            f'{both[0].name!r}. What is measured on them is no validation',
            f'take them out of {train.file.name}')


def _paths(part: Part) -> List[Path]:
    return [part.images / str(entry['file_name']) for entry in part.content['images']]


def _list(names) -> str:
    return ', '.join(map(repr, list(names)[:6])) + (' ...' if len(names) > 6 else '')
