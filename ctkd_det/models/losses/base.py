"""What every distillation loss between classification logits has in common.

Symbols: N sampled RoIs, C classes, s and t the logits of student and teacher
(N, C+1) with the background last, tau the temperature, (1,) or (N, 1).
"""
from typing import Dict, Optional, Union

import torch
from torch import Tensor, nn

from mmdet.registry import MODELS
from ..temperatures import BaseTemperature, FixedTemperature


class LogitLoss(nn.Module):
    """Base of the logit losses: temperature, weights and reduction.

    Subclasses implement :meth:`divergence`, the loss of each RoI.

    Args:
        temperature (float | dict): A number for a fixed tau, or the config of
            a registered temperature. A learnable one makes the loss CTKD.
        loss_weight (float): Factor of the whole loss, at least 0. With 0 the
            loss is inactive: it costs nothing. Defaults to 1.
        foreground_weight (float, optional): Share, from 0 to 1, that the
            foreground RoIs have in the loss: it becomes
            ``share * mean(foreground) + (1 - share) * mean(background)``,
            and a group without RoIs contributes 0. With None each RoI counts
            alike, so about three quarters of the loss come from the
            background. Defaults to None.

    Raises:
        ValueError: if a weight is out of its range.
    """

    def __init__(self,
                 temperature: Union[float, dict],
                 loss_weight: float = 1.0,
                 foreground_weight: Optional[float] = None) -> None:
        super().__init__()
        if not loss_weight >= 0:
            raise ValueError(f'loss_weight must be >= 0, got {loss_weight}')
        if foreground_weight is not None and not 0 <= foreground_weight <= 1:
            raise ValueError(f'foreground_weight must be from 0 to 1, got {foreground_weight}')
        self.temperature = build_temperature(temperature)
        self.loss_weight = loss_weight
        self.foreground_weight = foreground_weight
        # scalars for the log, from the latest forward
        self.statistics: Dict[str, Tensor] = {}

    @property
    def active(self) -> bool:
        """bool: Whether the loss contributes anything at present."""
        return self.loss_weight > 0

    def forward(self,
                student_logits: Tensor,
                teacher_logits: Tensor,
                labels: Tensor,
                weight: Optional[Tensor] = None,
                avg_factor: Optional[float] = None) -> Tensor:
        """Compute the loss, in float32 or wider whatever the autocast state.

        Args:
            student_logits (Tensor): (N, C+1).
            teacher_logits (Tensor): (N, C+1); no gradient goes through it.
            labels (Tensor): (N,), ground-truth classes, C for the background.
            weight (Tensor, optional): (N,), a weight for each RoI.
            avg_factor (float, optional): What the weighted sum over RoIs is
                divided by. Defaults to the sum of the weights.

        Returns:
            Tensor: A scalar; 0 with a graph if N is 0.

        Raises:
            ValueError: if the logits differ in shape.
        """
        if student_logits.shape != teacher_logits.shape:
            raise ValueError(
                f'logits of student {tuple(student_logits.shape)} and teacher '
                f'{tuple(teacher_logits.shape)} differ in shape: do both detectors have '
                'the same classes?')
        with torch.autocast(student_logits.device.type, enabled=False):
            s = _at_least_float32(student_logits)
            t = _at_least_float32(teacher_logits.detach())
            tau = self.temperature(s, t, labels)
            self.statistics = self.temperature.statistics(tau)
            loss = self.divergence(s, t, labels, tau)
            return self.loss_weight * self._reduce(loss, labels, s.size(1) - 1, weight, avg_factor)

    def divergence(self, s: Tensor, t: Tensor, labels: Tensor, tau: Tensor) -> Tensor:
        """Loss of each RoI, shape (N,), from logits in full precision."""
        raise NotImplementedError

    def _reduce(self, loss: Tensor, labels: Tensor, background: int,
                weight: Optional[Tensor], avg_factor: Optional[float]) -> Tensor:
        weight = torch.ones_like(loss) if weight is None else weight.to(loss)
        total = weight.sum()
        if self.foreground_weight is not None:
            weight = self._balance(weight, labels != background)
        if avg_factor is None:
            avg_factor = total
        # no RoI has any weight: the sum is 0, and so is the loss
        avg_factor = torch.as_tensor(avg_factor).to(loss).clamp(min=1e-6)
        return (weight * loss).sum() / avg_factor

    def _balance(self, weight: Tensor, foreground: Tensor) -> Tensor:
        """Rescale the weights so that both groups have their share of the sum."""
        total = weight.sum()
        groups = ((foreground.to(weight), self.foreground_weight),
                  ((~foreground).to(weight), 1 - self.foreground_weight))
        return sum(weight * group * share * total / (weight * group).sum().clamp(min=1e-6)
                   for group, share in groups)


def build_temperature(temperature: Union[float, dict]) -> BaseTemperature:
    """A number becomes a :class:`FixedTemperature`, a dict is built."""
    if isinstance(temperature, dict):
        return MODELS.build(temperature)
    return FixedTemperature(temperature)


def _at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
