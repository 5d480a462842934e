"""Converts numbers that are written as text: values and ids."""
import math
from typing import Any, Dict, Iterator, List, Optional

from .findings import FAIL, WARN, DataError, Finding, Tally, row

_NUMBERS, _LARGE = frozenset((int, float)), 1e15
# all whole numbers up to here are 64-bit floats
EXACT = 2 ** 53
_JOINS = dict(images='image_id', categories='category_id')
_FLAGS = dict(iscrowd='write 0, or 1 for a crowd', ignore='write 0, or 1 to ignore the box')
_WORDS = {'true': 1, 'yes': 1, 'false': 0, 'no': 0, '': 0}


def as_number(value: Any) -> Optional[float]:
    """Convert to a finite number, also from text such as '12.5'; None if that is not possible."""
    if isinstance(value, str):
        if '_' in value:  # Python reads 1_11 as 111
            return None
        try:
            value = int(value) if value.strip().lstrip('+-').isdigit() else float(value)
        except ValueError:
            return None
    try:
        usable = isinstance(value, (int, float)) and math.isfinite(value)
    except OverflowError:  # of an integer of hundreds of digits
        return None
    return value if usable else None


def usable(values: list) -> bool:
    """Whether all of a list that is not empty are numbers, finite, and not absurdly large."""
    return (_NUMBERS.issuperset(map(type, values)) and min(values) > -_LARGE
            and max(values) < _LARGE and sum(values) == sum(values))  # NaN if one of them is


def as_flag(value: Any) -> Optional[float]:
    """Convert a flag to a number, also from text such as 'true'; None if it is no flag."""
    number = as_number(value)
    return _WORDS.get(str(value).strip().lower()) if number is None else number


def values(part) -> Iterator[Finding]:
    """Convert sizes, boxes, areas and flags to numbers.

    Raises:
        DataError: if a box is not four numbers, or a flag is none.
    """
    content = part.content
    for key, name in (('images', 'width'), ('images', 'height'), ('annotations', 'area'),
                      ('annotations', 'iscrowd'), ('annotations', 'ignore')):
        text = Tally(part.file, len(content[key]), 'boxes' if key == 'annotations' else key)
        for index, entry in enumerate(content[key]):
            value = entry.get(name)
            if value is None or type(value) in _NUMBERS and -_LARGE < value < _LARGE:
                continue
            if isinstance(value, str) or as_number(value) is None:
                where = f'{row(key, index, entry)} has {name}={value!r}'
                text.add(where)
                entry[name] = (as_flag if name in _FLAGS else as_number)(value)
                if name in _FLAGS and entry[name] is None:
                    raise DataError(f'{part.file}: {where}', _FLAGS[name])
        if text:
            yield text.finding(FAIL, f'have text, or no number, for {name!r}',
                               f'write {name} as a number', 'as numbers, where it is one')
    yield from _boxes(part)


def _boxes(part) -> Iterator[Finding]:
    entries = part.content['annotations']
    text, wrong, made = (Tally(part.file, len(entries)) for _ in range(3))
    for index, entry in enumerate(entries):
        box = entry.get('bbox')
        if type(box) is list and len(box) == 4 and usable(box):
            continue
        where = row('annotations', index, entry)
        numbers = [as_number(v) for v in box] if isinstance(box, list) else []
        if len(numbers) == 4 and None not in numbers:
            text.add(f'{where} has bbox={box!r}')
            entry['bbox'] = numbers
        elif not box and (around := _around(entry.get('segmentation'))):
            made.add(where)
            entry['bbox'] = around
        else:
            wrong.add(f'{where} has bbox={box!r}' if 'bbox' in entry else f'{where} has no bbox')
    if wrong:
        what = wrong.finding(FAIL, 'have no bbox of four numbers').what
        raise DataError(f'{part.file}: {what}', 'a bbox is [x, y, width, height] in pixels')
    if text:
        yield text.finding(FAIL, 'have text for numbers in their bbox', 'write numbers',
                           'as numbers')
    if made:
        yield made.finding(FAIL, 'have no bbox, but polygons', "write the polygons' bbox",
                           'the box around the polygons')


def _around(polygons: Any) -> Optional[list]:
    """The box [x, y, width, height] around COCO's polygons, lists of x, y, x, y ..."""
    try:
        points = [float(value) for polygon in polygons for value in polygon]
        xs = [v for polygon in polygons for v in polygon[::2]]
        ys = [v for polygon in polygons for v in polygon[1::2]]
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    except (TypeError, ValueError, KeyError):
        return None
    return box if all(map(math.isfinite, points)) else None


def exact(value: Any) -> bool:
    """Whether an id is an integer that NumPy keeps in an array with any others.

    ``np.unique`` makes 64-bit floats of signed and unsigned integers, or of
    integers and floats. Above ``2 ** 53`` these are equal for several ids.
    """
    return type(value) is int and abs(value) <= EXACT


def identities(part) -> Iterator[Finding]:
    """Convert ids of images and categories to exact numbers, in the boxes as well.

    Raises:
        DataError: if two entries would get the same id.
    """
    for key, name in _JOINS.items():
        entries, boxes = part.content[key], part.content['annotations']
        if all(exact(e['id']) for e in entries) and all(exact(b[name]) for b in boxes):
            continue
        owned, used = ({type(e[k]) for e in rows} for rows, k in ((entries, 'id'), (boxes, name)))
        ids, theirs = [e['id'] for e in entries], [b[name] for b in boxes]
        new = _new_ids(ids, theirs)
        distinct = set(ids)
        if len({new[i] for i in distinct}) < len(distinct):
            raise DataError(f'{part.file}: ids of {key} are both numbers and text, and some are '
                            'equal as numbers', f'write all ids of {key} as numbers')
        text, large = Tally(part.file, len(boxes)), Tally(part.file, len(entries), key)
        for index, box in enumerate(boxes):
            if str in owned or isinstance(box[name], str) and new[box[name]] != box[name]:
                text.add(f'{row("annotations", index, box)} has {name}={box[name]!r}')
            box[name] = new[box[name]]
        for index, entry in enumerate(entries):
            number = as_number(entry['id'])
            if number is None or number != int(number) or abs(number) > EXACT:
                large.add(row(key, index, entry))
            entry['id'] = new[entry['id']]
        if text:
            joined = {new[i] for i in ids} & {new[i] for i in theirs}
            lost = bool(joined) and not distinct & set(theirs)
            yield text.finding(
                FAIL if lost or used != owned else WARN,
                f'name their {key} by text, or the list of {key} does (its first id is {ids[0]!r})'
                + ('. No box belongs to any of them, because "1" is not 1' if lost else ''),
                f'write the same number as {name} of the boxes and as id of the {key}',
                'ids as numbers')
        elif large:
            yield large.finding(
                FAIL if part.evaluated else WARN, 'have an id that is no whole number up to '
                f'{EXACT} (2 to the power of 53), and some evaluations take several of these for '
                'one: pycocotools if they are of several kinds, faster-coco-eval any',
                f'count the {key} from 1, and give their boxes these numbers', 'counted from 1')


def _new_ids(ids: List[Any], theirs: List[Any]) -> Dict[Any, int]:
    """Map ids, and those in the boxes, to numbers.

    They are the numbers in the text. If one of the ids is no exact number, or
    two texts are one number as '7' and '007' are, all are counted from 1.
    """
    numbers = {i: as_number(i) for i in (*ids, *theirs)}
    whole = {i: int(n) for i, n in numbers.items() if n is not None and n == int(n)
             and exact(int(n))}
    texts = all(isinstance(i, str) for i in numbers)
    clash = texts and len({whole.get(i) for i in ids}) < len(set(ids))
    if whole.keys() >= set(ids) and not clash:
        return {i: whole.get(i, i) for i in numbers}  # a text that is none of them stays
    return {i: index + 1 for index, i in enumerate(numbers)}
