"""Checks that training and validation have the same classes and different images."""
import filecmp
import os
from typing import Dict, Iterator, List, NamedTuple

from .alike import some
from .check import Part
from .findings import FAIL, WARN, Finding
from .rows import class_names

# share of the validation images
_MANY = 0.5
# bytes of a file that are compared first
_BEGINNING = 2 ** 16


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
    what = (f'its categories are {some(others, names, 6)}, those of {train.file.name} '
            f'{some(names, others, 6)}; labels are positions in that list')
    mend = 'training and validation must have the same categories in the same order'
    lost = [name for name in unknown if rows[name]['id'] in with_boxes]
    if lost or len(absent) == len(names):
        unknown_to = f'. Boxes of {some(lost, names, 6)} would be unknown to the student'
        yield Finding(FAIL, val.file, what + (unknown_to if lost else ''), mend)
        return
    free = max((e['id'] for e in val.content['categories'] if isinstance(e['id'], int)), default=0)
    val.content['categories'] = [
        rows.get(name) or dict(id=free + 1 + i, name=name) for i, name in enumerate(names)]
    yield Finding(FAIL, val.file, what, mend, f'in the order of {train.file.name}')


def same_images(train: Part, val: Part) -> bool:
    """Whether both parts are the same files, by whatever paths: a deliberate test."""
    return _identities(_files(train)) == _identities(_files(val))


def apart(train: Part, val: Part) -> Iterator[Finding]:
    """Find images that are in the training set and in the validation set."""
    ours, theirs = _files(train), _files(val)
    # Roboflow calls both files alike
    name = train.file.name if train.file.name != val.file.name else train.file
    seen = _identities(ours)
    if seen == _identities(theirs):
        yield Finding(WARN, val.file, f'its images are those of {name}. What is '
                      'measured on them is no validation', 'take other images, unless it is a test')
        return
    copies = _copies(ours, [file for file in theirs if file.identity not in seen])
    both = [file.path for file in theirs if file.identity in seen or file.path in copies]
    if both:
        share = len(both) / len(theirs)
        first = repr(os.path.basename(both[0])) + (
            f', a copy of {copies[both[0]]}' if both[0] in copies else '')
        yield Finding(
            FAIL if share >= _MANY else WARN, val.file,
            f'{len(both)} of {len(theirs)} images are also in {name}; the first: '
            f'{first}. What is measured on them is no validation',
            f'take them out of {name}')


class _File(NamedTuple):
    """An image: its path, what tells it from other files whatever the path, its size in bytes."""
    path: str
    identity: object
    size: int

    @property
    def kind(self) -> tuple:
        return os.path.basename(self.path), self.size


def _files(part) -> List[_File]:
    folder, found = str(part.images), []
    for entry in part.content['images']:
        path = os.path.join(folder, str(entry['file_name']))
        try:
            stat = os.stat(path)
        except (OSError, ValueError):  # another finding says so
            found.append(_File(path, os.path.abspath(path), 0))
        else:
            # some network drives number no files
            identity = (stat.st_dev, stat.st_ino) if stat.st_ino else os.path.realpath(path)
            found.append(_File(path, identity, stat.st_size))
    return found


def _identities(files: List[_File]) -> set:
    return {file.identity for file in files}


def _copies(ours: List[_File], theirs: List[_File]) -> Dict[str, str]:
    """Which of our files each of theirs has the name and the bytes of.

    Only files of one name and size are read, so that nothing of COCO is, and
    of those that differ only the beginning.
    """
    alike = {file.kind for file in ours if file.size} & {file.kind for file in theirs}
    known = {_beginning(file): file.path for file in reversed(ours) if file.kind in alike}
    found = {file.path: known.get(_beginning(file)) for file in theirs if file.kind in alike}
    return {path: other for path, other in found.items()
            if other and filecmp.cmp(path, other, shallow=False)}


def _beginning(file: _File) -> tuple:
    with open(file.path, 'rb') as opened:
        return (*file.kind, hash(opened.read(_BEGINNING)))
