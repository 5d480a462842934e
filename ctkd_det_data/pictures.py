"""Checks that image files exist, can be opened and have the stated size."""
import os
from typing import Dict, Iterator, List, Optional

from .findings import FAIL, WARN, Finding, Tally, row
from .image_folder import ImageFolder
from .image_size import TURNED, UNREAD, Size, size_of
from .reading import LFS

# number of headers that are read; of a larger data set, evenly spread ones
MOST = 5000
# a smaller file can be a pointer of git LFS, or the text of an error page
_SMALL = 400


def names(part, files: ImageFolder) -> Iterator[Finding]:
    """Check that each image exists under its name and is not empty."""
    entries = part.content['images']
    other, missing, empty, odd, shared = (
        Tally(part.file, len(entries), 'images') for _ in range(5))
    row_of: Dict[str, str] = {}
    for index, entry in enumerate(entries):
        name = str(entry['file_name'])
        found = files.find(name)
        if found is None:
            missing.add(f'{name!r}' + (' (its name has a backslash)' if '\\' in name else ''))
            continue
        first = row_of.setdefault(os.path.normpath(found), name)
        if first != name:
            shared.add(f'{first!r} and {name!r} are both {found!r}')
        if found != entry['file_name']:
            slash = ' (its name has a backslash, as on Windows)' if '\\' in name else ''
            other.add(f'{entry["file_name"]!r}{slash}, but the folder has {found!r}')
            entry['file_name'] = found
        size = files.bytes_of(found)
        if size == 0:
            empty.add(f'{found!r}')
        elif size < _SMALL and (files.root / found).open('rb').read(len(LFS)) == LFS:
            odd.add(row('images', index, entry) + f', {found!r}')
            files.no_images.add(found)
    if other:
        yield other.finding(FAIL, f'are not in {files.root} under the name that is stated',
                            'write file_name relative to that folder, with /', 'under its name')
    if shared:
        yield shared.finding(FAIL, 'point to the same file as another row', 'give each image its '
                             'own file, or list it once with all its boxes')
    if missing:
        yield missing.finding(FAIL, f'are not in {files.root}',
                              'put them there, or delete their rows and boxes')
    if empty:
        yield empty.finding(FAIL, f'are empty files in {files.root}', 'copy them again')
    if odd:
        yield odd.finding(FAIL, 'are pointers of git LFS, not the images themselves',
                          'git lfs pull')


def sizes(part, files: ImageFolder) -> Iterator[Finding]:
    """Check that images open and have the stated size; add sizes that are not stated."""
    entries = [e for e in part.content['images'] if files.bytes_of(str(e['file_name']))
               and e['file_name'] not in files.no_images]
    silent = [e for e in entries if not _stated(e)]
    looked = _spread(entries, MOST)
    real: Dict[int, Optional[Size]] = {}
    broken, cut = (Tally(part.file, len(looked), 'images') for _ in range(2))
    for entry in [*looked, *silent]:
        if id(entry) not in real:
            real[id(entry)] = size_of(files.root / entry['file_name'])
            size = real[id(entry)]
            if size is None:
                broken.add(f'{entry["file_name"]!r}')
            elif not size.whole:
                cut.add(f'{entry["file_name"]!r}')
    if broken:
        yield broken.finding(FAIL, UNREAD, 'copy them again, save them as PNG, or delete their '
                             'rows and boxes')
    if cut:
        yield cut.finding(WARN, 'are cut off: MMDetection sees grey in place of the rest',
                          'copy them again, or delete their rows and boxes')
    if silent:
        yield from _fill_in(part, silent, real)
    yield from _turned(part, looked, silent, real)
    differ = [e for e in looked if real.get(id(e)) and _stated(e) != real[id(e)].seen]
    if differ and len(looked) < len(entries):
        for entry in entries:
            if id(entry) not in real:
                real[id(entry)] = size_of(files.root / entry['file_name'])
        looked = entries
        differ = [e for e in looked if real.get(id(e)) and _stated(e) != real[id(e)].seen]
    if differ:
        yield from _judge(part, differ, real, len(looked))


def _fill_in(part, silent: List[dict], real: Dict[int, Optional[Size]]) -> Iterator[Finding]:
    filled, unknown = (Tally(part.file, len(part.content['images']), 'images') for _ in range(2))
    for entry in silent:
        size = real[id(entry)]
        if size:
            entry['width'], entry['height'] = size.seen
        if size is not None:  # else another finding says so
            (filled if size else unknown).add(f'{entry["file_name"]!r}')
    what, mend = "have no 'width' and 'height' above 0", 'write the size of each image'
    if filled:
        yield filled.finding(FAIL, what, mend, "the files' own sizes")
    if unknown:
        yield unknown.finding(FAIL, f"{what}, and their files' size cannot be read here", mend)


def _turned(part, looked: List[dict], silent: List[dict], real: Dict[int, Optional[Size]]
            ) -> Iterator[Finding]:
    """Find images that are turned or mirrored, where the stated size says not for which boxes."""
    unstated = set(map(id, silent))
    tally = Tally(part.file, len(looked), 'images')
    for entry in looked:
        size = real[id(entry)]
        if size and (size.looks_upright or size.turn > 1 and id(entry) in unstated):
            tally.add(f'{entry["file_name"]!r}')
    if tally:
        yield tally.finding(WARN, TURNED, 'look whether the boxes were drawn on the upright '
                            'pictures; if not, save the images without the tag')


def _judge(part, differ: List[dict], real: Dict[int, Size], looked: int) -> Iterator[Finding]:
    """Decide whether the boxes fit the real images, or images of the stated size."""
    far: Dict[object, List[float]] = {e['id']: [0, 0] for e in differ}
    for box in part.content['annotations']:
        if box['image_id'] in far:
            x, y, width, height = box['bbox']
            corner = far[box['image_id']]
            corner[:] = max(corner[0], x + width), max(corner[1], y + height)
    groups = dict(boxes_fit=[], turned=[], scaled=[])
    for entry in differ:
        groups[_meaning(_stated(entry), real[id(entry)], far[entry['id']])].append(entry)
    # where the boxes of one image fit only its real size, those of the others may fit both sizes
    if groups['boxes_fit'] and all(_inside(far[e['id']], real[id(e)].seen) for e in differ):
        groups = dict(boxes_fit=differ, turned=[], scaled=[])
    for kind, entries in groups.items():
        tally = Tally(part.file, looked, 'images')
        for entry in entries:
            stated, seen = _stated(entry), real[id(entry)].seen
            tally.add(f'{entry["file_name"]!r} is {_size(seen)}, stated is {_size(stated)}')
            if kind == 'boxes_fit':
                entry['width'], entry['height'] = seen
        level = FAIL if tally.share > 0.01 else WARN
        if tally and kind == 'boxes_fit':
            yield tally.finding(WARN, 'have another size than stated; the boxes fit the files',
                                'write the real sizes', "the files' own sizes")
        elif tally and kind == 'turned':
            yield tally.finding(
                level, 'are turned by their EXIF tag when MMDetection reads them, and their '
                'stated size is that of the unturned picture', 'save the images without the tag, '
                'as their annotations see them')
        elif tally:
            yield tally.finding(
                level, 'have another size than stated, and the boxes are probably made for the '
                'stated one', 'resize the images to the stated size; or, if the boxes are right '
                'for the files, write the real sizes')


def _meaning(stated: tuple, size: Size, far: List[float]) -> str:
    fits = _inside(far, size.seen)
    close = max(abs(a - b) for a, b in zip(stated, size.seen, strict=True)) <= 1
    if close or far == [0, 0] or (fits and not _inside(far, stated)):
        return 'boxes_fit'
    if size.seen != size.stored and stated == size.stored:
        return 'turned'
    return 'boxes_fit' if fits and stated == size.seen[::-1] else 'scaled'


def _inside(far: List[float], size: tuple) -> bool:
    return far[0] <= size[0] + 1 and far[1] <= size[1] + 1


def _stated(entry: dict) -> Optional[tuple]:
    size = (entry.get('width'), entry.get('height'))
    usable = all(isinstance(v, (int, float)) and v > 0 for v in size)
    return size if usable else None


def _size(size: tuple) -> str:
    return f'{size[0]} x {size[1]}'


def _spread(entries: list, number: int) -> list:
    step = max(len(entries) / number, 1)
    return [entries[int(i * step)] for i in range(min(number, len(entries)))]
