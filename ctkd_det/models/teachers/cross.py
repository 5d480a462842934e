"""CrossKD: the student's maps inside the teacher's head."""
from typing import Any, List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from ..precision import at_least_float32
from ..towers import TowerCut, tower_depth
from .checkpoint import TeacherError

# variance of a map that says nothing: a channel that is the same everywhere
_TINY = 1e-12


class CrossHead:
    """The first layers of the student's head and the rest of the teacher's, as one head.

    The rest is frozen; gradients go through it to the student.

    Source: "CrossKD: Cross-Head Knowledge Distillation for Object Detection"
    (CVPR 2024). That the statistics are aligned is in its authors' code.

    Args:
        student (nn.Module): A dense head.
        teacher (nn.Module): Another; it classifies the same locations.
        student_name (str): What to call the student in messages.
        teacher_name (str): What to call the teacher.
        layer (int, optional): After which layer of the towers the student's
            maps cross over; the first is 1. Defaults to None: all but the
            last, the 3 of 4 that the authors take (of FCOS they take 2).
        align (bool): Whether each channel of the student's maps gets the mean
            and the deviation that the teacher's has over the batch, level by
            level. Defaults to True.

    Raises:
        TypeError: if a head has no such towers, or an argument is unknown.
        TeacherError: if a tower has no such layer, or the widths differ there.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module, student_name: str,
                 teacher_name: str, layer: Optional[int] = None, align: bool = True) -> None:
        self.head, self.align = teacher, align
        if layer is None:
            layer = max(1, min(tower_depth(student), tower_depth(teacher)) - 1)
        self.layer = layer
        widths = []
        for head, name in ((student, student_name), (teacher, teacher_name)):
            try:
                self.cut = TowerCut(head, layer)
            except ValueError as error:
                raise TeacherError(f'cross_head: layer={layer!r}, but {name} {error}') from None
            widths.append(self.cut.widths[0])
        if widths[0] != widths[1]:
            raise TeacherError(
                f'cross_head: the head of {student_name} is {widths[0]} channels wide after layer '
                f'{layer}, that of {teacher_name} {widths[1]}: give the student '
                f'bbox_head=dict(feat_channels={widths[1]}), or take a teacher as wide, or leave '
                'cross_head out')
        self.statistics: List[Tuple[Tensor, Tensor]] = []
        self.patches: List[Tensor] = []

    @torch.no_grad()
    def own(self, feats: Sequence[Tensor]) -> Any:
        """What the teacher's head says of its own neck's maps."""
        with self.cut.heard() as maps:
            outputs = self.head(feats)
        self.statistics = [_statistics(x) for x in maps] if self.align else []
        # copies: a view would keep the whole maps until the next step
        self.patches = [x[:1, :, :2, :2].clone() for x in feats]
        return outputs

    def __call__(self, maps: Sequence[Tensor]) -> Any:
        """What it says of the student's, of the images of the latest :meth:`own`.

        Args:
            maps (Sequence[Tensor]): See :class:`TowerCut`. An activation that
                works in place changes them.
        """
        if self.align:
            maps = [_aligned(x, *theirs) for x, theirs in zip(maps, self.statistics, strict=True)]
        # what the layers before the cut make is replaced: a patch costs them nothing
        with self.cut.replaced(maps):
            return self.head(self.patches)


def _statistics(x: Tensor) -> Tuple[Tensor, Tensor]:
    """Mean and variance of each channel of a map (B, D, H, W), (1, D, 1, 1) each."""
    with torch.autocast(x.device.type, enabled=False):
        x = at_least_float32(x)
        mean = x.mean((0, 2, 3), keepdim=True)
        return mean, (x - mean).square().mean((0, 2, 3), keepdim=True)


def _aligned(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """A map with this mean and variance of each channel."""
    own_mean, own_variance = _statistics(x)
    return mean + (x - own_mean) * ((variance + _TINY) / (own_variance + _TINY)).sqrt()
