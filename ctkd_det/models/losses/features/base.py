"""What every distillation loss between features has in common.

Symbols: B images, C channels, H and W positions of a level, N RoIs, D the
width of an RoI's features, s and t student and teacher. mean(all) is the mean
over every element.
"""
import math
from typing import Any, Iterable, List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor, nn

from ...precision import at_least_float32
from ..distill_loss import DistillLoss
from .adapters import linear_adapter
from .reductions import mean_all, mean_over_rois
from .shapes import check_shapes, resize_to

Channels = Union[int, Sequence[Optional[int]], None]
Maps = Union[Tensor, Sequence[Optional[Tensor]]]


class FeatureLoss(DistillLoss):
    """Base of the feature losses: levels, widths, sizes and the sum over levels.

    Subclasses implement :meth:`compare`, the loss of one level, or of the RoIs
    of one stage.

    Args:
        student_channels (int | Sequence[int], optional): Width of the
            student's features, of each map that it will get. One number
            stands for every level in ``levels``. Of RoI features one number,
            or one for each stage of a cascade, whose features have nothing in
            common. A detector fills it in. Defaults to None, the teacher's.
        teacher_channels (int | Sequence[int], optional): The teacher's, of
            the same levels or stages.
        loss_weight (float): Factor of the whole loss, at least 0. With 0 the
            loss is inactive: it costs nothing. Defaults to 1.
        levels (Sequence[int], optional): Which of the maps are compared; the
            finest is 0. Defaults to None, all that are given; in a detector
            those that both sides have and that are no mere subsample of
            another one, as P6 of Faster R-CNN is.
        level_weights (Sequence[float], optional): A factor for each of
            ``levels``. Defaults to None, 1 each.
        window (dict, optional): When the loss is active, the arguments of
            :class:`Window`. Defaults to None, always.

    Raises:
        TypeError: if ``temperature`` is given, or the widths are needed and
            missing.
        ValueError: if an argument is out of its range.

    Attributes:
        source (str): 'neck', maps (B, C, H, W) of several levels, or 'roi',
            (N, D), what the classifier of a two-stage detector receives.
        adapters (nn.ModuleList): What brings the student's features to the
            teacher's width, one a level or stage; ``nn.Identity`` where the
            widths agree. Trained with the student, dropped by an export.
    """
    source = 'neck'
    # whether features of different widths are compared as they are, without an adapter
    any_width = False

    def __init__(self,
                 student_channels: Channels = None,
                 teacher_channels: Channels = None,
                 loss_weight: float = 1.0,
                 levels: Optional[Sequence[int]] = None,
                 level_weights: Optional[Sequence[float]] = None,
                 window: Optional[dict] = None,
                 **unknown: Any) -> None:
        name = type(self).__name__
        if 'temperature' in unknown:
            raise TypeError(
                f"{name} has no temperature: CTKD's goes into a logit loss beside it, such as "
                "loss_ctkd=dict(type='KDLoss', temperature=dict(type='GlobalTemperature'))")
        if unknown:
            raise TypeError(f'{name} does not take {", ".join(sorted(unknown))}')
        super().__init__(loss_weight, window)
        if self.source == 'roi' and (levels, level_weights) != (None, None):
            raise ValueError(f'{name}: RoI features have no levels, got levels={levels} and '
                             f'level_weights={level_weights}')
        self.levels = None if levels is None else check_levels(name, levels)
        self.widths = self._widths(student_channels, teacher_channels)
        self.level_weights = level_weights
        if level_weights is not None and (
                len(level_weights) != len(self.widths)
                or not all(0 <= w < math.inf for w in level_weights)):
            raise ValueError(f'{name}: level_weights must be {len(self.widths)} numbers >= 0, one '
                             f'a level; got {level_weights}')
        self.adapters = nn.ModuleList(self.build_adapter(s, t) for s, t in self.widths)

    def build_adapter(self, student: Optional[int], teacher: Optional[int]) -> nn.Module:
        """What brings one level from the student's width to the teacher's."""
        return nn.Identity() if self.any_width else linear_adapter(student, teacher, self.source)

    def forward(self, student: Maps, teacher: Maps, stage: int = 0, **extra: Any) -> Tensor:
        """Compute the loss, in float32 or wider whatever the autocast state.

        Args:
            student (Sequence[Tensor] | Tensor): Maps (B, C, H, W), the finest
                first, or (N, D) of RoIs.
            teacher (Sequence[Tensor] | Tensor): Of the same levels and images
                or RoIs; no gradient goes through it.
            stage (int): Of a cascade, whose RoIs these are; the first is 0.
            **extra: What the loss's docstring names beside these.

        Returns:
            Tensor: A scalar, the sum over the levels; 0 with a graph if there
            is nothing to compare.

        Raises:
            ValueError: if the two sides do not match; the message states the
                shapes of both.
        """
        s, t = self._select(student, teacher, stage)
        with torch.autocast(s[0].device.type, enabled=False):
            s = [at_least_float32(x) for x in s]
            t = [at_least_float32(x.detach()) for x in t]
            values = self.values(*self.match(s, t), first=stage, **extra)
            weights = self.level_weights or [1.0] * len(values)
            loss = sum(weight * value for weight, value in zip(weights, values, strict=True))
        if len(values) > 1:
            self.statistics = {f'level{i}': value.detach()
                               for i, value in zip(self.levels or range(len(s)), values,
                                                   strict=True)}
        return self.factor * loss

    def match(self, s: List[Tensor], t: List[Tensor]) -> Tuple[List[Tensor], List[Tensor]]:
        """Bring both sides to one size: the student's maps are resized."""
        return [resize_to(a, b) for a, b in zip(s, t, strict=True)], t

    def values(self, s: List[Tensor], t: List[Tensor], first: int, **extra: Any) -> List[Tensor]:
        """The loss of each level, scalars, from the ``first`` on."""
        return [self.compare(i, a, b, **extra)
                for i, (a, b) in enumerate(zip(s, t, strict=True), first)]

    def compare(self, i: int, s: Tensor, t: Tensor) -> Tensor:
        """The loss of the i-th of the compared levels, or of the stage i, in full precision."""
        raise NotImplementedError

    def adapt(self, i: int, s: Tensor, *args: Any) -> Tensor:
        """The i-th level of the student at the teacher's width."""
        # all levels may share one width, and so one adapter that does nothing
        adapter = self.adapters[i if i < len(self.adapters) else 0]
        parameter = next(adapter.parameters(), s)
        # in a training in pure half precision (DeepSpeed) the weights say what they take
        return at_least_float32(adapter(s.to(parameter.dtype), *args))

    def _select(self, student: Maps, teacher: Maps,
                stage: int) -> Tuple[List[Tensor], List[Tensor]]:
        """The compared maps of both sides, checked."""
        s, t = ([x] if isinstance(x, Tensor) else list(x) for x in (student, teacher))
        name = type(self).__name__
        widths = self.widths[stage:stage + 1] if self.source == 'roi' else self.widths
        if self.levels is None and len(widths) == 1 and isinstance(self.adapters[0], nn.Identity):
            widths = widths * len(s)  # one width for all levels, nothing to adapt at any
        expected = len(widths) if self.levels is None else max(self.levels) + 1
        if not s or len(s) != len(t) or len(s) < expected or (
                self.levels is None and len(s) > expected):
            raise ValueError(f'{name} was built for {expected} levels (levels={self.levels}, '
                             f'widths of student and teacher {self.widths}), got {len(s)} of the '
                             f'student and {len(t)} of the teacher')
        if self.levels is not None:
            s, t = ([x[i] for i in self.levels] for x in (s, t))
        check_shapes(name, s, t, widths, dims=4 if self.source == 'neck' else 2,
                     any_width=self.any_width)
        return s, t

    def _widths(self, student: Channels, teacher: Channels) -> list:
        """Of each compared level the widths of student and teacher."""
        if self.levels is None:
            count = max([len(x) for x in (student, teacher) if isinstance(x, (list, tuple))] or [1])
            levels = range(count)
        else:
            levels, count = self.levels, max(self.levels) + 1
        sides = [[x] * count if x is None or isinstance(x, int) else list(x)
                 for x in (student, teacher)]
        if any(len(side) < count for side in sides):
            raise ValueError(f'{type(self).__name__}: student_channels={student} and '
                             f'teacher_channels={teacher} must have a width for each level '
                             f'(levels={self.levels})')
        return [(sides[0][i], sides[1][i]) for i in levels]


class SourcedLoss(FeatureLoss):
    """Base of the losses that compare neck levels or RoI features, as ``source`` says.

    Raises:
        ValueError: if ``source`` is neither 'neck' nor 'roi'.
    """

    def __init__(self, *args: Any, source: str = 'neck', **kwargs: Any) -> None:
        if source not in ('neck', 'roi'):
            raise ValueError(f"{type(self).__name__}: source must be 'neck' or 'roi', "
                             f'got {source!r}')
        # before the adapters are built; nn.Module takes plain attributes at any time
        self.source = source
        self.needs = ('stage', ) if source == 'roi' else ()
        super().__init__(*args, **kwargs)

    def mean(self, x: Tensor) -> Tensor:
        """mean(all); of RoI features over all ranks."""
        return mean_all(x) if self.source == 'neck' else mean_over_rois(x)


def check_levels(name: str, levels: Sequence[int]) -> Tuple[int, ...]:
    """``levels`` of the loss ``name``, as a tuple.

    Raises:
        ValueError: if they are no indices, or not different.
    """
    found = tuple(levels) if isinstance(levels, Iterable) else ()
    if not found or len(set(found)) < len(found) or not all(
            isinstance(i, int) and i >= 0 for i in found):
        raise ValueError(f'{name}: levels must be a list of different indices from 0, got '
                         f'{levels!r}')
    return found
