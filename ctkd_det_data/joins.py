"""Checks that boxes, images, categories and the classes of a config refer to each other."""
import difflib
from collections import Counter
from typing import Iterator, Sequence

from .alike import some, written
from .findings import FAIL, WARN, Finding, Tally, row
from .rows import class_names

# share of all boxes; from here on unknown categories are an error
_MANY = 0.05


def partners(part) -> Iterator[Finding]:
    """Find boxes whose image or category is not listed."""
    for key, name, noun in (('categories', 'category_id', 'category'),
                            ('images', 'image_id', 'image')):
        yield from _strangers(part, key, name, noun)


def _strangers(part, key: str, name: str, noun: str) -> Iterator[Finding]:
    boxes, listed = part.content['annotations'], {entry['id'] for entry in part.content[key]}
    unknown = Counter(box[name] for box in boxes if box[name] not in listed)
    if not unknown:
        return
    tally = Tally(part.file, len(boxes))
    for index, box in enumerate(boxes):
        if box[name] not in listed:
            part.gone.add(id(box))
            tally.add(f'{row("annotations", index, box)} has {name}={box[name]!r}')
    each = ', '.join(f'{noun} {i!r} is in {n} of {len(boxes)} boxes'
                     for i, n in unknown.most_common(5))
    what = f'belong to no {noun} of the list {key}: {each}, but not in the list'
    shifted = _is_shifted(listed, {box[name] for box in boxes})
    if shifted or tally.number == len(boxes):
        yield tally.finding(FAIL, what + ('. The list seems to be counted from another number '
                                          'than the boxes' if shifted else ''),
                            f"make {name} of the boxes and id of {key} the same numbers")
        return
    level = FAIL if noun == 'category' and tally.share > _MANY else WARN
    yield tally.finding(level, f'{what}, and MMDetection leaves them out',
                        f'add the {noun} to {key}, or delete the boxes',
                        'left out' if part.evaluated and level == WARN else '')


def _is_shifted(listed: set, used: set) -> bool:
    """Whether the ids are shifted by one, as [0, 1, 2] and [1, 2, 3].

    Then each box would get the name or the image of its neighbour.
    """
    if not all(type(i) is int for i in listed | used):
        return False
    beyond = used - listed
    row_of_numbers = len(listed) == max(listed) - min(listed) + 1
    up = beyond == {max(listed) + 1} and min(listed) not in used
    down = beyond == {min(listed) - 1} and max(listed) not in used
    return row_of_numbers and (up or down)


def reach(part) -> Iterator[Finding]:
    """Count the boxes that are learnt from or evaluated on, and find classes without boxes."""
    names = {entry['id']: entry['name'] for entry in part.content['categories']}
    large = {e['id'] for e in part.content['images']
             if min(e.get('width') or 0, e.get('height') or 0) >= part.min_size}
    known = set(part.classes if part.classes is not None else names.values())
    learnt, small = Counter(), 0
    for box in part.content['annotations']:
        if not box['iscrowd'] and names.get(box['category_id']) in known:
            if box['image_id'] in large or part.evaluated:
                learnt[names[box['category_id']]] += 1
            else:
                small += 1
    part.usable = sum(learnt.values())
    if small:
        yield Finding(FAIL if not part.usable else WARN, part.file,
                      f'{small} of {part.total} boxes are in images of less '
                      f'than {part.min_size} pixels, which MMDetection leaves out',
                      'set filter_cfg.min_size of the data set, or take larger images')
    if not part.usable and not small:
        yield Finding(FAIL, part.file, 'no box is left '
                      + ('to evaluate on: mAP would be -1 for ever' if part.evaluated else
                         'to learn from'), 'annotate the images, or take another file')
    else:
        yield from _classes_without_boxes(part, learnt)


def _classes_without_boxes(part, learnt: Counter) -> Iterator[Finding]:
    classes = part.classes
    if classes is None:
        classes = class_names(part.content['categories'],
                              {box['category_id'] for box in part.content['annotations']})
    without = [name for name in classes if not learnt[name]]
    if without:
        shown = ', '.join(map(repr, without[:5])) + (' ...' if len(without) > 5 else '')
        yield Finding(WARN, part.file, f'{len(without)} of {len(classes)} classes have no box '
                      f'here: {shown}'
                      + ('. They get no AP, and mAP is that of the others' if part.evaluated
                         else ''), 'if they should have some, look whether ids are counted '
                      'from 0 in one list and from 1 in another; else '
                      + ('leave it so, or move images of them here' if part.evaluated
                         else 'take them out'))


def labels(part) -> Iterator[Finding]:
    """Check that the order of a config's class names gives the intended labels.

    mmdet takes the categories that ``metainfo`` does not name out of the
    file's list. A label is a position in the rest of that list. The order in
    ``metainfo`` only names the results.
    """
    classes: Sequence[str] = part.classes
    listed = [entry['name'] for entry in part.content['categories']]
    used = {box['category_id'] for box in part.content['annotations']}
    with_boxes = [e['name'] for e in part.content['categories'] if e['id'] in used]
    got = [name for name in listed if name in set(classes)]
    absent = [name for name in classes if name not in set(listed)]
    left_out = [name for name in with_boxes if name not in set(classes)]
    if not got:
        yield Finding(FAIL, part.file, f'none of the {len(classes)} classes of the config '
                      f'({some(classes, listed)}) is a category of the file '
                      f'({some(listed, classes)}): the '
                      'training would see no object',
                      f'give metainfo=dict(classes={tuple(listed)!r}) to the data set')
        return
    if list(classes)[:len(got)] != got:
        pairs = ((want, have) for want, have in zip(classes, got, strict=False) if want != have)
        have, want = written(next(pairs, (classes[-1], got[-1]))[::-1])
        close = {name: difflib.get_close_matches(name, left_out, 1, 0.6) for name in absent}
        guess = next((f'; is {" meant to be ".join(written([name, *match]))}?'
                      for name, match in close.items() if match), '')
        yield Finding(FAIL, part.file, f"the classes of the config and the file's categories "
                      f'give different labels: MMDetection takes {have} for {want}'
                      + (f'; {some(absent, listed)} not in the file' if absent else '') + guess,
                      'write the same names in the same order in both')
    elif absent and left_out:
        yield Finding(FAIL, part.file, f'the config has classes that the file has not '
                      f'({some(absent, listed)}), and leaves out others that have boxes '
                      f'({some(left_out, classes)})', 'spell the names alike')
    elif left_out:
        ids = {e['id'] for e in part.content['categories'] if e['name'] in set(left_out)}
        number = sum(box['category_id'] in ids for box in part.content['annotations'])
        yield Finding(WARN, part.file, f'{number} of {len(part.content["annotations"])} boxes are '
                      f'left out, because the config does not name their categories: '
                      f'{some(left_out, classes)}',
                      'add them to metainfo.classes if they are wanted')
