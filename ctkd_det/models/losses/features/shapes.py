"""What sizes the two sides of a comparison may have, and how they are brought together."""
from typing import List, Sequence, Tuple

import torch.nn.functional as F
from torch import Tensor


def check_shapes(name: str, s: List[Tensor], t: List[Tensor], widths: Sequence[Tuple],
                 dims: int, any_width: bool) -> None:
    """Refuse what cannot be compared.

    Args:
        name (str): Of the loss.
        s (list[Tensor]): Of the student.
        t (list[Tensor]): Of the teacher.
        widths (Sequence[tuple]): Of both, as the loss was built for; None
            where that was not known.
        dims (int): Number of dimensions of each.
        any_width (bool): Whether features of different widths are compared as
            they are.

    Raises:
        ValueError: stating the shapes of both sides.
    """
    kind = 'maps (B, C, H, W)' if dims == 4 else 'RoI features (N, D)'
    for a, b, (own, theirs) in zip(s, t, widths, strict=True):
        if a.dim() != dims or b.dim() != dims:
            problem = f'compares {kind}'
        elif len(a) != len(b):
            problem = f'needs as many {"images" if dims == 4 else "RoIs"} of both'
        elif own not in (None, a.size(1)) or theirs not in (None, b.size(1)):
            problem = f'was built for widths {own} of the student and {theirs} of the teacher'
        elif own == theirs is None and not any_width and a.size(1) != b.size(1):
            problem = 'needs student_channels and teacher_channels where the widths differ'
        else:
            continue
        raise ValueError(f'{name} {problem}, got the shapes {_shapes(s)} of the student and '
                         f'{_shapes(t)} of the teacher')


def resize_to(x: Tensor, like: Tensor) -> Tensor:
    """Maps at the size of others, bilinear; RoI features and equal sizes stay as they are."""
    if x.shape[2:] == like.shape[2:]:
        return x
    return F.interpolate(x, size=like.shape[2:], mode='bilinear', align_corners=False)


def _shapes(maps: Sequence[Tensor]) -> List[Tuple[int, ...]]:
    return [tuple(x.shape) for x in maps]
