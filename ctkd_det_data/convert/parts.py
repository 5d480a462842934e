"""Decides which images are for training and which for validation, as the user has split them."""
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from ..findings import DataError
from .records import Record

_WORDS = re.compile(r'(train|val|test)(?:(?<=train)(?:ing|val)|(?<=val)id(?:ation)?|(?<=test)ing)?'
                    r'[-_ ]?(?:(?:19|20)\d\d)?', re.IGNORECASE)


@dataclass
class Listed:
    """Images that a list, or a folder named in one, says to be of a part.

    Attributes:
        part: 'train', 'val' or 'test'.
        file: The list, or the folder.
        images: The images.
        unknown: Lines of the list that name no image.
    """
    part: str
    file: Path
    images: Set[Path]
    unknown: List[str] = field(default_factory=list)


class Content(NamedTuple):
    """What a folder holds: images, names in the order of the labels, notes, lists of parts.

    Names are None if the format has no list of them.
    """
    records: List[Record]
    classes: Optional[List[str]]
    notes: List[str]
    lists: Sequence[Listed] = ()


def folder_of_part(file: Path, root: Path) -> Tuple[Optional[str], Optional[str]]:
    """The part of a file by its nearest folder with such a name, and the folder's name.

    ``Train``, ``valid``, ``val2017`` and ``test_2007`` are such names.
    """
    for name in reversed(file.relative_to(root).parts[:-1]):
        if found := _WORDS.fullmatch(name):
            return found[1].lower(), name
    return None, None


def settle(records: Sequence[Record], root: Path, lists: Sequence[Listed], val_share: float
           ) -> Tuple[List[Record], List[str]]:
    """Set the part of each image: by lists if there are any, else by folders, else by a hash.

    Test images are never trained on. Without validation images they take
    their place, else they are left out. So are images of which a split says
    nothing. Without a training part the latter are trained on.

    Returns:
        tuple: The images that are left, with ``part`` 'train', 'val', or
        None where a hash decides; and notes that say what decided.

    Raises:
        DataError: if there are lists, and no annotated image is in one.
    """
    parts, notes = _by_lists(records, root, lists) if lists else _by_folders(records, root)
    train, val, test, rest = ([record for record in records if parts.get(record.file) == part]
                              for part in ('train', 'val', 'test', None))
    if not train:
        kept = [not lists or folder_of_part(r.file, root)[0] not in ('val', 'test') for r in rest]
        train = [r for r, keep in zip(rest, kept, strict=True) if keep]
        rest = [r for r, keep in zip(rest, kept, strict=True) if not keep]
    if rest:
        notes.append(f'{len(rest)} of {len(records)} images are in none of these parts and were '
                     f'left out (the first: {_name(rest[0], root)})')
    if val and test:
        notes.append(f'{len(test)} test images were left out')
    elif test:
        notes.append('there are no validation images: the test images take their place '
                     f'({len(test)})')
        val = test
    if not val:
        notes.append('nothing says which images are for validation: a hash of each name draws '
                     f'about {val_share:.0%} of them')
    for group, part in ((train, 'train' if val else None), (val, 'val')):
        for record in group:
            record.part = part
    left = {id(record) for record in (*train, *val)}
    return [record for record in records if id(record) in left], notes


def _by_folders(records: Sequence[Record], root: Path) -> Tuple[Dict[Path, str], List[str]]:
    found = {record.file: folder_of_part(record.file, root) for record in records}
    parts = {part for part, _ in found.values()}
    # a single folder called train may as well hold images of trains, and one called val or test
    # may be all that there is
    if len(parts) == 1 or not {'val', 'test'} & parts:
        return {}, []
    names = sorted({name for _, name in found.values() if name})
    return ({file: part for file, (part, _) in found.items() if part},
            [f'the folders {", ".join(names)} are the parts'])


def _by_lists(records: Sequence[Record], root: Path, lists: Sequence[Listed]
              ) -> Tuple[Dict[Path, str], List[str]]:
    said: Dict[str, Set[Path]] = dict(train=set(), test=set(), val=set())
    files = dict.fromkeys(str(named.file.relative_to(root)) for named in lists)
    notes = [f'the parts are those of {", ".join(files)}']
    for named in lists:
        said[named.part] |= named.images
        if named.unknown:
            notes.append(f'{len(named.unknown)} lines of {named.file.relative_to(root)} name no '
                         f'image below {root} (the first: {named.unknown[0][:80]!r})')
    if said['train'] and said['train'] == said['val']:
        notes.append('the images for training and for validation are the same: as if none were '
                     'for validation')
        said['val'] = set()
    images = {record.file for record in records}
    both = images & said['train'] & (said['val'] | said['test'])
    if both:
        notes.append(f'{len(both)} images are listed for training and for validation or test, and '
                     f'are not trained on (the first: {min(both).relative_to(root)})')
    # the later part wins
    parts = {image: part for part in ('train', 'test', 'val') for image in said[part] & images}
    if not parts:
        raise DataError(f'{root}: none of {len(records)} annotated images is in '
                        f'{", ".join(str(n.file.relative_to(root)) for n in lists)}',
                        'correct these lists, or move them away')
    return parts, notes


def _name(record: Record, root: Path) -> str:
    return record.file.relative_to(root).as_posix()
