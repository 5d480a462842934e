"""Checks the other properties of a box: area, crowd, ignore, mask."""
from typing import Any, Iterator, List, Optional

from .findings import FAIL, OK, WARN, Finding, Tally, row
from .numbers import usable
from .run_lengths import fits

# share of all boxes
_MANY_CROWDS = 0.05


def objects(part) -> Iterator[Finding]:
    """Check areas, crowds, ignored objects and masks."""
    boxes = part.content['annotations']
    yield from _areas(part, boxes)
    yield from _crowds(part, boxes)
    yield from _ignored(part, boxes)
    yield from _polygons(part, boxes)


def _areas(part, boxes: List[dict]) -> Iterator[Finding]:
    absent, zero = (Tally(part.file, len(boxes)) for _ in range(2))
    for index, box in enumerate(boxes):
        area = box.get('area')
        if area is not None and area > 0:
            continue
        size = box['bbox'][2] * box['bbox'][3]
        if area is None:
            absent.add(row('annotations', index, box))
        elif size > 0:
            zero.add(row('annotations', index, box))
        box['area'] = size
    if absent:
        yield absent.finding(FAIL, "have no 'area'", 'write width x height, or the area of the '
                             'mask', 'width x height')
    if zero:
        yield zero.finding(WARN, "have an 'area' of 0, and MMDetection leaves them out",
                           'write width x height', 'width x height')


def _crowds(part, boxes: List[dict]) -> Iterator[Finding]:
    absent, crowds = (Tally(part.file, len(boxes)) for _ in range(2))
    for index, box in enumerate(boxes):
        flag = box.get('iscrowd')
        if flag is None:
            absent.add(row('annotations', index, box))
        elif flag:
            crowds.add(row('annotations', index, box))
        box['iscrowd'] = int(bool(flag))
    if absent and part.evaluated:
        yield absent.finding(FAIL, "have no 'iscrowd', on which the evaluation stops",
                             "write 'iscrowd': 0", '0')
    cvat = 'CVAT writes brush masks as crowds'
    if crowds and crowds.number == len(boxes):
        for box in boxes:
            box['iscrowd'] = 0
        yield crowds.finding(FAIL, f'are crowds, from which nothing is learnt; {cvat}',
                             "write 'iscrowd': 0 if each is one object", 'single objects')
    elif crowds:
        level = WARN if crowds.share > _MANY_CROWDS else OK
        yield crowds.finding(level, f'are crowds, from which nothing is learnt; {cvat}',
                             "write 'iscrowd': 0 for those that are one object")


def _ignored(part, boxes: List[dict]) -> Iterator[Finding]:
    ignored = Tally(part.file, len(boxes))
    for index, box in enumerate(boxes):
        if box.get('ignore'):
            ignored.add(row('annotations', index, box))
            box['iscrowd'] = 1  # pycocotools uses only this flag
            del box['ignore']
    if ignored:
        yield ignored.finding(WARN, "are marked 'ignore': nothing is learnt from them, but the "
                              'evaluation counts them', "delete the mark, or write 'iscrowd': 1 "
                              'too', 'crowds in the evaluation')


def _polygons(part, boxes: List[dict]) -> Iterator[Finding]:
    bad = Tally(part.file, len(boxes))
    sizes = {e['id']: [e['height'], e['width']] for e in part.content['images']
             if e.get('height') and e.get('width')}
    for index, box in enumerate(boxes):
        mask = box.get('segmentation')
        if not mask or _is_good(mask, sizes.get(box['image_id'])):
            continue
        bad.add(row('annotations', index, box))
        good = [p for p in _flat(mask) if _is_polygon(p)] if isinstance(mask, list) else []
        if good:
            box['segmentation'] = good
        else:
            del box['segmentation']
    if bad:
        yield bad.finding({True: FAIL, False: OK, None: WARN}[part.masks],
                          'have a mask of fewer than three points, of another size than the '
                          'image, in no format of COCO, or of run lengths that do not fill the '
                          'image',
                          'draw them again, or delete their segmentation',
                          'without that mask, or with its good polygons')


def _is_polygon(polygon: Any) -> bool:
    return (isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0
            and usable(polygon))


def _is_good(mask: Any, size: Optional[List[int]]) -> bool:
    """Whether a mask is in a format of COCO, and of the image's height and width if known."""
    if isinstance(mask, dict):
        return fits(mask, size)
    return isinstance(mask, list) and all(map(_is_polygon, mask))


def _flat(mask: list) -> list:
    """Convert polygons that are one list of numbers, or of points, to COCO's lists of x, y, ..."""
    mask = [mask] if all(type(v) in (int, float) for v in mask) else mask
    return [[v for point in p for v in point]
            if isinstance(p, list) and all(isinstance(q, list) for q in p) else p for p in mask]
