"""Where the names of boxes go: inside the picture, none over another."""
from typing import Dict, List, Optional, Sequence, Tuple

# size of the letters as a share of the picture's width, beside others and enlarged
SMALL, LARGE = ('small', 1 / 18), ('large', 1 / 45)
# mean width of a letter, ascent and descent, as shares of the letters' size
_WIDTH, _ASCENT, _DESCENT = 0.68, 0.85, 0.25

_Area = Tuple[float, float, float, float]  # x1, y1, x2, y2


def place_labels(boxes: Sequence[dict], width: float, height: float) -> None:
    """Give each box its text and, for each size, where the text goes.

    Names of confident detections are placed first. One for which there is no
    free place at a box's corners gets None for that size, and can be read by
    holding the pointer over the box.

    Args:
        boxes (Sequence[dict]): With x, y, w, h, name and score; ``text`` and
            ``labels`` (size -> x, y, anchor or None) are added.
        width (float): Of the picture, in its pixels.
        height (float): Of the picture.
    """
    for box in boxes:
        score = '' if box['score'] is None else f' {box["score"]:.2f}'
        # the object that was missed bears its name in the ground truth beside it
        box['text'] = '' if box['kind'] == 'missed' else f'{box["name"]}{score}'
        box['labels'] = {}
    for size, share in (SMALL, LARGE):
        taken: List[_Area] = []
        for box in sorted(boxes, key=lambda b: -(b['score'] or 0)):
            box['labels'][size] = _place(box, width * share, width, height, taken)


def _place(box: dict, letters: float, width: float, height: float,
           taken: List[_Area]) -> Optional[Dict[str, object]]:
    if not box['text']:
        return None
    length = _WIDTH * letters * len(box['text'])
    gap = letters / 5
    lines = {'above': box['y'] - gap, 'below': box['y'] + box['h'] + _ASCENT * letters,
             'top': box['y'] + (_ASCENT + .15) * letters, 'bottom': box['y'] + box['h'] - gap}
    # wrong boxes often lie over right ones: their names begin at the other side
    order = ('below', 'above', 'bottom', 'top') if box['kind'] == 'wrong' else (
        'above', 'below', 'top', 'bottom')
    for y in (lines[name] for name in order):
        for anchor, x in (('start', box['x']), ('end', box['x'] + box['w'])):
            x = min(max(x, 0), width - length) if anchor == 'start' else max(min(x, width), length)
            left = x if anchor == 'start' else x - length
            area = (left, y - _ASCENT * letters, left + length, y + _DESCENT * letters)
            inside = area[0] >= 0 and area[2] <= width and area[1] >= 0 and area[3] <= height
            if inside and not any(_overlap(area, other) for other in taken):
                taken.append(area)
                return dict(x=round(x, 1), y=round(y, 1), anchor=anchor)
    return None


def _overlap(a: _Area, b: _Area) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
