"""What every learned temperature has in common: bounds and an adversary."""
from typing import Optional

from torch import Tensor

from .base import BaseTemperature
from .bounds import TemperatureBounds
from .gradient_reversal import GradientReversal


class LearnedTemperature(BaseTemperature):
    """A temperature that climbs the loss, between bounds.

    Args:
        tau_min (float): Lower bound of tau, greater than 0.
        tau_range (float): Width of the interval.

    Raises:
        ValueError: if a bound is not above 0.
    """

    def __init__(self, tau_min: float, tau_range: float) -> None:
        super().__init__()
        self.bounds = TemperatureBounds(tau_min, tau_range)
        self.grl = GradientReversal()

    @property
    def lambda_(self) -> Optional[float]:
        """float: Strength of the adversary."""
        return self.grl.lambda_

    def tau(self, theta: Tensor) -> Tensor:
        """Temperatures of ``theta``, whose gradient comes back reversed."""
        return self.bounds.tau(self.grl(theta))

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return repr(self.bounds)
