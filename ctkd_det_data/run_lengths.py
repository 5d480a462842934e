"""Reads COCO's masks as run lengths, also those that are written as text."""
from typing import List, Optional

# each character has five bits of a number and one that says whether more follow
_FIRST, _BITS, _MORE, _SIGN = 48, 0x1f, 0x20, 0x10


def fits(mask: dict, size: Optional[List[int]]) -> bool:
    """Whether the runs of a mask fill an image of its height and width, which is ``size`` if known.

    pycocotools does not look. Where runs end early, its mask is whatever the
    memory held; where they go on, it stops.
    """
    counts, stated = mask.get('counts'), mask.get('size')
    runs = _decoded(counts) if isinstance(counts, str) else counts
    return (isinstance(stated, list) and len(stated) == 2 and size in (None, stated)
            and isinstance(runs, list) and {int}.issuperset(map(type, (*runs, *stated)))
            and min(runs, default=0) >= 0 and sum(runs) == stated[0] * stated[1])


def _decoded(text: str) -> Optional[List[int]]:
    """The runs of COCO's text, in which each run from the fourth on is a difference.

    None if a character is not of its alphabet, or the text ends within a number.
    """
    runs: List[int] = []
    number = shift = 0
    for character in text:
        code = ord(character) - _FIRST
        if not 0 <= code < 2 * _MORE:
            return None
        number |= (code & _BITS) << shift
        shift += 5
        if not code & _MORE:
            if code & _SIGN:
                number -= 1 << shift
            runs.append(number + (runs[-2] if len(runs) > 2 else 0))
            number = shift = 0
    return None if shift else runs
