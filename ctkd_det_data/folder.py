"""Finds a data set in a folder, checks it, and writes cleaned copies of its files."""
import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from . import layouts, splits
from .check import Part, check
from .findings import FAIL, DataError, Finding
from .reading import read, read_json
from .rows import class_names

MADE_BY = 'ctkd-det'


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    Attributes:
        ann_file: Its JSON file: the user's, or the cleaned copy of it.
        images: The folder that its ``file_name`` entries are relative to.
        content: What it says, cleaned.
        usable: The number of boxes that are learnt from or evaluated on.
        total: The number of boxes in the user's file.
        original: The user's file.
    """
    ann_file: Path
    images: Path
    content: dict
    usable: int = 0
    total: int = 0
    original: Optional[Path] = None

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
        findings: What is wrong with it.
        is_one_file_twice: Whether training and validation are the same images.
    """
    root: Path
    train: Split
    val: Split
    classes: Tuple[str, ...]
    findings: Tuple[Finding, ...] = ()
    is_one_file_twice: bool = False

    @property
    def failures(self) -> List[Finding]:
        """list[Finding]: The mistakes that cannot be corrected."""
        return [f for f in self.findings if f.level_when_cleaned == FAIL]

    def beside(self, config: Path) -> 'CocoFolder':
        """The same data set, with cleaned copies beside a config for files that need one.

        It writes nothing; :meth:`save` does.
        """
        needy = {f.file for f in self.findings if f.read_as}
        copies = {part: config.with_name(f'{config.stem}_{part}.json') for part in ('train', 'val')}
        return replace(self, **{
            part: replace(split, ann_file=copies[part], original=split.ann_file)
            for part, split in (('train', self.train), ('val', self.val))
            if split.ann_file in needy})

    def save(self, force: bool = False) -> List[Path]:
        """Write the cleaned copies that :meth:`beside` has named.

        Returns:
            list[Path]: Those that are new; others are there already.

        Raises:
            DataError: if a file of that name exists that is no such copy, or
                was edited since, and ``force`` is False, or one cannot be
                written.
        """
        copies = [(split, _made(split.ann_file)) for split in (self.train, self.val)
                  if split.original is not None]
        for split, made in copies:
            if split.ann_file.exists() and not force and not made:
                raise DataError(
                    f'{split.ann_file} exists and is no copy that ctkd-det has made, or was edited '
                    'since', 'give another --out, or --force to replace it')
        written = []
        for split, made in copies:
            info = split.content.get('info')
            info = dict(info if isinstance(info, dict) else {}, cleaned_by=MADE_BY,
                        cleaned_from=str(split.original), checksum=_checksum(split.content))
            if made == info:
                continue
            text = json.dumps({**split.content, 'info': info})
            try:
                split.ann_file.parent.mkdir(parents=True, exist_ok=True)
                split.ann_file.write_text(text, encoding='utf-8')
            except OSError as error:
                raise DataError(f'{split.ann_file} cannot be written ({error.strerror})',
                                'give another --out') from error
            written.append(split.ann_file)
        return written


def find_coco(root: Path) -> CocoFolder:
    """Find the parts of a data set in one of the usual layouts, and check them.

    ``annotations/instances_train2017.json`` with ``train2017/`` (COCO),
    ``train.json`` with ``train/``, ``train/_annotations.coco.json``
    (Roboflow), ``train/labels.json`` with ``train/data/`` (FiftyOne),
    ``annotations/instances_Train.json`` with ``images/Train/`` (CVAT), and
    their mixtures, in any letter case.

    Raises:
        DataError: if a part is missing (the message says which files were
            looked for), or a file is not in COCO's format. Mistakes in files
            that can be read are in ``findings``.
    """
    root = root.expanduser().resolve()
    if not root.is_dir():
        raise DataError(f'there is no folder {root}')
    files = {part: layouts.annotation_file(root, part) for part in ('train', 'val')}
    parts: Dict[str, Part] = {}
    findings: List[Finding] = []
    for name, file in files.items():
        content, found = read(file)
        images = layouts.image_folder(root, name, file,
                                      [str(e['file_name']) for e in content['images']])
        parts[name] = Part(file, images, content, evaluated=name == 'val')
        findings += [*found, *check(parts[name])]
    train, val = parts['train'], parts['val']
    findings += splits.same_classes(train, val)
    same = splits.same_images(train, val)
    if not same:  # else the summary says it
        findings += splits.apart(train, val)
    used = {box['category_id'] for part in (train, val) for box in part.content['annotations']}
    return CocoFolder(
        root, *(Split(part.file, part.images, part.content, part.usable, part.total)
                for part in (train, val)),
        classes=class_names(train.content['categories'], used), findings=tuple(findings),
        is_one_file_twice=same)


def hold_the_same(file: Path, other: Path) -> bool:
    """Whether two annotation files are one, hold the same, or one is the cleaned copy of the other.

    So do the copies that two configs have of one file.
    """
    if file.absolute() == other.absolute():
        return True
    try:
        ours, theirs = (read_json(one, unique=False)[0] for one in (file, other))
        return _rest(ours) == _rest(theirs) or any(
            os.path.realpath(_made(copy).get('cleaned_from', '')) == os.path.realpath(source)
            for copy, source in ((file, other), (other, file)))
    except (DataError, AttributeError):  # no dict
        return False


def _made(file: Path) -> dict:
    """The ``info`` of a cleaned copy that is as it was written; of another file nothing."""
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
        info = content['info']
        ours = info['cleaned_by'] == MADE_BY and info['checksum'] == _checksum(content)
        return info if ours else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _checksum(content: dict) -> str:
    return hashlib.md5(json.dumps(_rest(content)).encode(), usedforsecurity=False).hexdigest()


def _rest(content: dict) -> dict:
    return {key: value for key, value in content.items() if key != 'info'}
