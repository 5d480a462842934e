"""One learned temperature for all RoIs."""
from typing import Optional

import torch
from torch import Tensor, nn

from mmdet.registry import MODELS
from .base import BaseTemperature
from .bounds import TemperatureBounds
from .gradient_reversal import GradientReversal


@MODELS.register_module()
class GlobalTemperature(BaseTemperature):
    """The global temperature of CTKD (AAAI 2023), eq. 4.

    ``tau = tau_min + tau_range * sigmoid(GRL(theta))`` with one scalar
    parameter theta. The gradient reversal layer (GRL) makes theta climb the
    distillation loss, by as much as the curriculum's lambda allows.

    Args:
        tau_min (float): Lower bound of tau. Defaults to 1.
        tau_range (float): Width of the interval. Defaults to 20, the paper's.
        init (float, optional): Initial theta. Defaults to 1, the paper's,
            which gives tau = 15.62 with the bounds above.
        initial_temperature (float, optional): Initial tau, the other way to
            say ``init``.

    Raises:
        ValueError: if a bound is not above 0, if ``initial_temperature`` is
            outside the bounds, or if it is given together with ``init``.
    """

    def __init__(self,
                 tau_min: float = 1.0,
                 tau_range: float = 20.0,
                 init: Optional[float] = None,
                 initial_temperature: Optional[float] = None) -> None:
        super().__init__()
        if init is not None and initial_temperature is not None:
            raise ValueError('init (theta) and initial_temperature (tau) say the same '
                             'thing; give one of them')
        self.bounds = TemperatureBounds(tau_min, tau_range)
        if initial_temperature is not None:
            init = self.bounds.theta(initial_temperature)
        self.theta = nn.Parameter(torch.tensor(1.0 if init is None else float(init)))
        self.grl = GradientReversal()

    @property
    def lambda_(self) -> float:
        """float: Strength of the adversary."""
        return self.grl.lambda_

    def forward(self, student_logits: Tensor, teacher_logits: Tensor,
                labels: Tensor) -> Tensor:
        """Return tau, shape (1,)."""
        return self.bounds.tau(self.grl(self.theta)).reshape(1)

    def extra_repr(self) -> str:
        return repr(self.bounds)
