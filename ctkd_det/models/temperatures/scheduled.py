"""A temperature that follows a curve, without an adversary."""
import warnings
from typing import Optional

import torch
from mmdet.registry import MODELS
from torch import Tensor

from .base import BaseTemperature
from .bounds import check_temperature
from .curves import CURVES


@MODELS.register_module()
class ScheduledTemperature(BaseTemperature):
    """tau from ``start`` to ``end`` along a curve: the control for CTKD.

    :class:`~ctkd_det.hooks.CurriculumHook` sets ``progress`` from 0 at its
    ``begin`` to 1 at its ``end``.

    Args:
        start (float): tau at progress 0, greater than 0.
        end (float): tau at progress 1, greater than 0.
        curve (str): 'linear' or 'cosine'. Defaults to 'linear'.

    Raises:
        ValueError: if a temperature is not above 0 or the curve is unknown.

    Example:
        >>> temperature = ScheduledTemperature(start=1.0, end=3.0, curve='cosine')
        >>> temperature.progress = 0.5  # CurriculumHook does this
        >>> temperature(torch.rand(4, 3), torch.rand(4, 3), labels=None)
        tensor([2.])
    """

    def __init__(self, start: float, end: float, curve: str = 'linear') -> None:
        super().__init__()
        check_temperature('start', start)
        check_temperature('end', end)
        if curve not in ('linear', 'cosine'):
            raise ValueError(f"curve must be 'linear' or 'cosine', got {curve!r}")
        self.start, self.end, self.curve = float(start), float(end), curve
        self.progress: Optional[float] = None

    def forward(self, student_logits: Tensor, teacher_logits: Tensor,
                labels: Tensor) -> Tensor:
        """Return tau, shape (1,)."""
        if self.progress is None:
            warnings.warn('progress was never set, so this temperature stays at its start. Add '
                          "custom_hooks=[dict(type='CurriculumHook')] to the config.",
                          stacklevel=2)
            self.progress = 0.0
        tau = self.start + (self.end - self.start) * CURVES[self.curve](self.progress)
        return torch.tensor([tau], device=student_logits.device)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f'{self.curve} from {self.start:g} to {self.end:g}'
