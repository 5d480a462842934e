"""Temperatures that make student and teacher equally sharp."""
from typing import Tuple

import torch
from mmdet.registry import MODELS
from torch import Tensor

from .base import BaseTemperature
from .bounds import check_temperature


@MODELS.register_module()
class DTKDTemperature(BaseTemperature):
    r"""DTKD: the sharper of student and teacher gets the higher temperature.

    .. math::
        \tau^s_i = \frac{2 m^s_i}{m^s_i + m^t_i} T, \quad
        \tau^t_i = \frac{2 m^t_i}{m^s_i + m^t_i} T

    with m the largest logit of a RoI above the mean of its logits. The two
    add up to 2 T, and the largest softened logit of both is
    :math:`(m^s + m^t) / 2T`. Both are unchanged if all logits of both sides
    are multiplied by the same number.

    Source: "Dynamic Temperature Knowledge Distillation" (arXiv 2404.12711),
    which adds up the loss with these temperatures and plain KD at T, with
    weights of 3 and 1, and takes T = 4. Its factor :math:`\tau^s \tau^t` is
    that of ``tau_power=2``. What differs here:

    - The paper takes the largest logit as it is. A softmax does not change
      when a number is added to all logits, and on a detector the largest may
      be negative. So the mean over the classes is subtracted first.
    - ``tau_min`` keeps both above 0. Where all logits of both sides are
      equal, both are T.
    - No gradient flows through these temperatures. In the authors' code one
      flows through the student's largest logit.

    Args:
        temperature (float): T, greater than 0. Defaults to 4, the paper's.
        tau_min (float): The smallest tau of either side, greater than 0 and
            at most T; the largest is 2 T minus it. Defaults to 0.5.

    Raises:
        ValueError: if a temperature is not above 0, or ``tau_min`` is above T.

    Example:
        >>> temperature = DTKDTemperature(temperature=4.0)
        >>> student, teacher = torch.tensor([[1., -1., 0.]]), torch.tensor([[6., 3., 0.]])
        >>> temperature(student, teacher, labels=None)  # 1 and 3 above their means
        (tensor([[2.]]), tensor([[6.]]))
    """
    # sigmoids do change when a number is added to the logits
    for_sigmoids = False

    def __init__(self, temperature: float = 4.0, tau_min: float = 0.5) -> None:
        super().__init__()
        check_temperature('temperature', temperature)
        check_temperature('tau_min', tau_min)
        if tau_min > temperature:
            raise ValueError(f'tau_min={tau_min} is above temperature={temperature}, the mean of '
                             'both sides; give a smaller tau_min')
        self.temperature, self.tau_min = float(temperature), float(tau_min)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor,
                labels: Tensor) -> Tuple[Tensor, Tensor]:
        """Return tau of student and teacher, each (N, 1)."""
        m_s, m_t = _sharpness(student_logits), _sharpness(teacher_logits)
        total = m_s + m_t
        share = (m_s / total.where(total > 0, 1)).where(total > 0, 0.5)
        tau_s = (2 * self.temperature * share).clamp(
            self.tau_min, 2 * self.temperature - self.tau_min)
        return tau_s, 2 * self.temperature - tau_s

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f'T={self.temperature:g}, tau in [{self.tau_min:g}, ' \
               f'{2 * self.temperature - self.tau_min:g}]'


@torch.no_grad()
def _sharpness(z: Tensor) -> Tensor:
    """The largest logit above the mean of its row, (N, 1); exactly 0 where all are equal."""
    top = z.amax(1, keepdim=True)
    # the mean of equal numbers may be rounded
    return (top - z.mean(1, keepdim=True)).where(top > z.amin(1, keepdim=True), 0)
