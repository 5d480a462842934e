"""Checks the boxes of one file: their place, their size and their ids."""
from typing import Any, Dict, Iterator, List, Optional

from .findings import FAIL, WARN, Finding, Tally, row

# shares of all boxes
_MANY_OUTSIDE, _SOME_REPEATED = 0.3, 0.01
# with so many boxes a suspicion becomes an error
_ENOUGH = 20


def places(part) -> Iterator[Finding]:
    """Check that boxes are [x, y, width, height] in pixels and lie within their images."""
    boxes, sizes = part.content['annotations'], _sizes(part)
    if not boxes:
        return
    if _all_normalised(boxes, sizes):
        yield Finding(FAIL, part.file, f"the boxes lie between 0 and 1 (all {len(boxes)} of them), "
                      f"COCO's are pixels; the first: {_where(0, boxes[0])}",
                      'multiply x and width by the width of the image, y and height by its height')
        return
    yield from _turned_inside_out(part, boxes)
    outside = Tally(part.file, len(boxes))
    for index, box in enumerate(boxes):
        if _beyond(box['bbox'], sizes.get(box['image_id'])) > 1:
            outside.add(f'{_where(index, box)} in an image of '
                        + ' x '.join(map(str, sizes[box['image_id']])))
    corners = all(b['bbox'][2] >= b['bbox'][0] and b['bbox'][3] >= b['bbox'][1] for b in boxes)
    mend = 'a bbox is [x, y, width, height]'
    if outside.share >= _MANY_OUTSIDE and corners:
        yield outside.finding(FAIL if len(boxes) >= _ENOUGH else WARN, 'reach outside their image; '
                              'are they corners (x1, y1, x2, y2)?', mend)
    elif outside.share >= _MANY_OUTSIDE:
        yield outside.finding(WARN, 'reach outside their image', mend)
    elif outside:
        for box in boxes:
            _clip(box, sizes.get(box['image_id']))
        yield outside.finding(WARN, 'reach outside their image by more than a pixel',
                              'clip them', 'clipped to the image' if part.evaluated else '')


def leftovers(part) -> Iterator[Finding]:
    """Remove repeated and unusable boxes; number all boxes from 1 if an id is wrong."""
    yield from _repeated(part)
    yield from _unusable(part)
    yield from _ids(part)
    part.content['annotations'] = [box for box in part.content['annotations']
                                   if id(box) not in part.gone]


def _sizes(part) -> Dict[Any, tuple]:
    return {e['id']: (e['width'], e['height']) for e in part.content['images']
            if e.get('width') and e.get('height')}


def _where(index: int, box: dict) -> str:
    return f'{row("annotations", index, box)} has bbox={_short(box["bbox"])}'


def _short(box: List[float]) -> str:
    return '[' + ', '.join(f'{v:.6g}' for v in box) + ']'


def _all_normalised(boxes: List[dict], sizes: Dict[Any, tuple]) -> bool:
    return (all(0 <= v <= 1 for box in boxes for v in box['bbox'])
            and any(v != int(v) for box in boxes for v in box['bbox'])
            and any(min(size) > 2 for size in sizes.values()))


def _turned_inside_out(part, boxes: List[dict]) -> Iterator[Finding]:
    """Correct boxes whose width or height is negative."""
    negative = Tally(part.file, len(boxes))
    for index, box in enumerate(boxes):
        x, y, width, height = box['bbox']
        if width < 0 or height < 0:
            negative.add(_where(index, box))
            box['bbox'] = [min(x, x + width), min(y, y + height), abs(width), abs(height)]
    if negative:
        yield negative.finding(WARN, 'have a negative width or height, and MMDetection leaves '
                               'them out', 'x and y are the upper left corner',
                               'the same rectangle, from its upper left corner')


def _beyond(box: List[float], size: Optional[tuple]) -> float:
    """Pixels by which a box reaches outside its image.

    0 if all of it is outside, or the size of the image is not known.
    """
    if size is None:
        return 0
    x, y, width, height = box
    if x >= size[0] or y >= size[1] or x + width <= 0 or y + height <= 0:
        return 0
    return max(-x, -y, x + width - size[0], y + height - size[1])


def _clip(box: dict, size: Optional[tuple]) -> None:
    if _beyond(box['bbox'], size) > 0:
        x, y, width, height = box['bbox']
        left, top = max(x, 0), max(y, 0)
        box['bbox'] = [left, top, min(x + width, size[0]) - left, min(y + height, size[1]) - top]


def _repeated(part) -> Iterator[Finding]:
    boxes, seen, repeated = part.content['annotations'], set(), set()
    again = Tally(part.file, len(boxes))
    for index, box in enumerate(boxes):
        key = (box['image_id'], box['category_id'], box['iscrowd'], *box['bbox'])
        if key in seen:
            again.add(_where(index, box))
            repeated.add(id(box))
        seen.add(key)
    if again.share > _SOME_REPEATED:
        yield again.finding(WARN, 'repeat another box of the same image and category; a detector '
                            'can find only one of them', 'delete the repetitions', 'once')
        part.gone |= repeated


def _unusable(part) -> Iterator[Finding]:
    """Find boxes that MMDetection leaves out of the training, but not out of the evaluation."""
    boxes, sizes = part.content['annotations'], _sizes(part)
    # in an evaluation a box of half a pixel still counts
    least = 1e-6 if part.evaluated else 1
    small, outside = (Tally(part.file, len(boxes)) for _ in range(2))
    for index, box in enumerate(boxes):
        x, y, width, height = box['bbox']
        size = sizes.get(box['image_id'])
        if width < least or height < least:
            small.add(_where(index, box))
        elif size and (min(x + width, size[0]) <= max(x, 0) or min(y + height, size[1])
                       <= max(y, 0)):
            outside.add(f'{_where(index, box)} in an image of {size[0]} x {size[1]}')
        else:
            continue
        part.gone.add(id(box))
    what = 'have no width or height' if part.evaluated else 'are less than one pixel wide or high'
    then = ('and no detector can find them' if part.evaluated else
            'and MMDetection leaves them out')
    for tally, predicate in ((small, what), (outside, 'lie outside their image')):
        if tally:
            yield tally.finding(WARN, f'{predicate}, {then}', 'correct or delete them',
                                'left out' if part.evaluated else '')


def _ids(part) -> Iterator[Finding]:
    boxes = part.content['annotations']
    absent, again, zero, odd = (Tally(part.file, len(boxes)) for _ in range(4))
    seen: Dict[Any, int] = {}
    for index, box in enumerate(boxes):
        name = box.get('id')
        if name is None or isinstance(name, (str, list, dict)):
            absent.add(row('annotations', index, box))
        elif name in seen:
            again.add(f'{row("annotations", index, box)} and annotations[{seen[name]}]')
        elif not name:
            zero.add(row('annotations', index, box))
        elif not (type(name) is int and 0 < name < 2 ** 63):
            odd.add(row('annotations', index, box))
        if not isinstance(name, (list, dict)):
            seen.setdefault(name, index)
    findings = [
        absent and absent.finding(FAIL, "have no number as 'id'", 'count them from 1',
                                  'counted from 1'),
        again and again.finding(FAIL, 'have the id of another box', 'count them from 1',
                                'counted from 1'),
        part.evaluated and zero and zero.finding(
            WARN, 'have the id 0, which pycocotools takes for "not found": a perfect detector '
            'would get less than mAP 1', 'count ids from 1', 'counted from 1'),
        part.evaluated and odd and odd.finding(
            FAIL, 'have an id that is no whole number from 1 to 2^63: '
            'some evaluations stop on it, others count the box as not found', 'count ids from 1',
            'counted from 1')]
    yield from (finding for finding in findings if finding)
    if absent or again or zero or odd:
        for number, box in enumerate(boxes):
            box['id'] = number + 1
