"""One learned temperature for all RoIs."""
import math
from typing import Optional

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from .learned import LearnedTemperature


@MODELS.register_module()
class GlobalTemperature(LearnedTemperature):
    """The global temperature of CTKD (AAAI 2023), eq. 4.

    ``tau = tau_min + tau_range * sigmoid(GRL(theta))`` with one scalar
    parameter theta. The gradient reversal layer (GRL) makes theta climb the
    distillation loss, by as much as the curriculum's lambda allows.

    Args:
        tau_min (float): Lower bound of tau. Defaults to 0.5; the paper has 1.
        tau_range (float): Width of the interval. Defaults to 1.5; the paper
            has 20.
        init (float, optional): Initial theta.
        initial_temperature (float, optional): Initial tau, the other way to
            say ``init``. If neither is given it is 1 where the bounds allow,
            otherwise theta is 1 as in the paper.

    Raises:
        ValueError: if a bound is not above 0, ``init`` is not finite, ``initial_temperature`` is
            outside the bounds or given together with ``init``, or tau starts at a bound.

    Example:
        >>> GlobalTemperature()(None, None, None).item()
        1.0
        >>> paper = GlobalTemperature(tau_min=1, tau_range=20, init=1)
        >>> round(paper(None, None, None).item(), 2)
        15.62
    """

    def __init__(self,
                 tau_min: float = 0.5,
                 tau_range: float = 1.5,
                 init: Optional[float] = None,
                 initial_temperature: Optional[float] = None) -> None:
        super().__init__(tau_min, tau_range)
        if init is not None and initial_temperature is not None:
            raise ValueError('init (theta) and initial_temperature (tau) say the same '
                             'thing; give one of them')
        if init is None:
            init = self.bounds.initial_theta(initial_temperature, otherwise=1.0)
        if not math.isfinite(init):
            raise ValueError(f'init must be a finite number, got {init}')
        self.bounds.check_start(init)
        # (1,) as in the paper's code, not (): FSDP refuses parameters without a dimension
        self.theta = nn.Parameter(torch.tensor([float(init)]))

    def forward(self, student_logits: Tensor, teacher_logits: Tensor,
                labels: Tensor) -> Tensor:
        """Return tau, shape (1,)."""
        return self.tau(self.theta)
