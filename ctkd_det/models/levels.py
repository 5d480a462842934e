"""Which levels of two necks belong together."""
import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

from torch import Tensor, nn

from .losses.features.base import check_levels
from .teachers import TeacherError
from .teachers.neck_levels import NeckLevels, neck_levels

# strides belong together within half an octave: with a teacher_scale they are no powers of 2
_NEAR = 2**0.5


class LevelMatch:
    """The levels of student and teacher with the same stride, the finest first.

    Args:
        student (nn.Module): A detector, in any state; it is left as it is.
        teacher (nn.Module): Another.
        teacher_scale (float): Factor from the student's image size to the
            teacher's; strides are compared in pixels of the student's.
            Defaults to 1.
        teacher_levels (int, optional): How many levels the teacher has, from
            the finest on. Defaults to None, all of its neck's.

    Raises:
        TeacherError: if no level with weights of its own has a counterpart,
            with the strides of both.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module, teacher_scale: float = 1.0,
                 teacher_levels: Optional[int] = None) -> None:
        levels = neck_levels(student), NeckLevels(
            *(each[:teacher_levels] for each in neck_levels(teacher)))
        # YOLOv3's neck gives the coarsest first
        self.orders = [sorted(range(len(side.strides)), key=side.strides.__getitem__)
                       for side in levels]
        self.student, self.teacher = (
            NeckLevels(*(tuple(each[i] for i in order) for each in side))
            for side, order in zip(levels, self.orders, strict=True))
        self.scale = teacher_scale
        theirs = [stride / teacher_scale for stride in self.teacher.strides]
        self.counterparts = _counterparts(self.student.strides, theirs)
        self.default = tuple(
            i for i, j in enumerate(self.counterparts)
            if j is not None and self.student.own[i] and self.teacher.own[j])
        if not self.default:
            raise TeacherError(f'the necks of student and teacher have no level in common: '
                               f'{self._strides()}. Take a teacher with one of these strides of '
                               'the student')

    def settings(self, name: str, levels: Optional[Sequence[int]]) -> Dict[str, Any]:
        """What a loss of the neck must be told: levels and the widths of both sides.

        Args:
            name (str): Of the loss, for messages.
            levels (Sequence[int], optional): Those that its config names.
                Defaults to None, every level that both have of their own.

        Raises:
            ValueError: if a level does not exist, or only the student has it;
                or see :func:`check_levels`.
        """
        levels = self.default if levels is None else check_levels(name, levels)
        for level in levels:
            if not 0 <= level < len(self.counterparts) or self.counterparts[level] is None:
                raise ValueError(f'{name}: levels={levels}, but student and teacher have in common '
                                 f'{[i for i, j in enumerate(self.counterparts) if j is not None]} '
                                 f'({self._strides()})')
        widths = [None if j is None else self.teacher.channels[j] for j in self.counterparts]
        return dict(levels=levels, student_channels=list(self.student.channels),
                    teacher_channels=widths)

    def align(self, student: Sequence[Tensor], teacher: Sequence[Tensor],
              image_shape: Tuple[int, int]) -> Tuple[list, list, Tuple[float, float]]:
        """The maps of each of the student's levels, and the teacher's beside them.

        At another image size each side pads to its own multiple: what only one
        of them covers is cut off.

        Args:
            student (Sequence[Tensor]): Of each of its levels (B, C, H, W), in
                its neck's order.
            teacher (Sequence[Tensor]): The same of the teacher's levels.
            image_shape (tuple[int, int]): Height and width of the student's
                padded batch.

        Returns:
            tuple: Two lists of (B, C, H, W), the finest first, with None where
            the teacher has no such level; height and width that these maps
            cover, in pixels of the student's batch.
        """
        s, t = ([maps[i] for i in order]
                for maps, order in zip((student, teacher), self.orders, strict=True))
        t = [None if j is None else t[j] for j in self.counterparts]
        if self.scale == 1:
            return s, t, image_shape
        covered = None
        for i, j in enumerate(self.counterparts):
            if j is not None:
                strides = self.student.strides[i], self.teacher.strides[j] / self.scale
                pixels = _common_pixels(s[i], strides[0], t[i], strides[1])
                s[i], t[i] = (_cut(x, pixels, stride)
                              for x, stride in zip((s[i], t[i]), strides, strict=True))
                covered = covered or pixels  # the finest level is the most exact
        return s, t, covered

    def _strides(self) -> str:
        text = (f'strides {list(self.student.strides)} of the student, '
                f'{list(self.teacher.strides)} of the teacher')
        return text if self.scale == 1 else f'{text} on images {self.scale} times as large'


def _counterparts(strides: Sequence[float], others: List[float]) -> List[Optional[int]]:
    """Of each stride the index of the other side's nearest one; each of these is taken once.

    The nearest two belong together before others do: SSD300 has a stride between the 64 and 128
    of a pyramid. Of several maps of one stride (a stacked hourglass) the last is the most
    processed.
    """
    distances = {(i, j): abs(math.log(stride / other)) for i, stride in enumerate(strides)
                 for j, other in enumerate(others)}
    found: List[Optional[int]] = [None] * len(strides)
    for i, j in sorted(distances, key=lambda pair: (distances[pair], -pair[0], -pair[1])):
        if distances[i, j] < math.log(_NEAR) and found[i] is None and j not in found:
            found[i] = j
    return found


def _common_pixels(s: Tensor, stride_s: float, t: Tensor, stride_t: float) -> Tuple[float, float]:
    """Height and width that both maps cover."""
    height, width = (min(s.size(dim) * stride_s, t.size(dim) * stride_t) for dim in (2, 3))
    return height, width


def _cut(x: Tensor, pixels: Tuple[float, float], stride: float) -> Tensor:
    """The part of a map that covers so many pixels, to half a position."""
    height, width = (max(1, round(size / stride)) for size in pixels)
    return x[:, :, :height, :width]
