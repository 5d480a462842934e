"""The bounded map from an unbounded parameter theta to a temperature tau."""
import math
from numbers import Real
from typing import Optional

from torch import Tensor

from ..precision import at_least_float32

# Beyond it float32 does not tell a softened distribution from a uniform one, and tau^2 grows on.
# theta's gradient is a difference of such distributions: it is rounding noise long before.
LARGEST = 1e6
# of tau; if a step of 1 in theta moves tau by less, theta's gradient is lost in rounding
_FLAT = 1e-5


def check_temperature(name: str, value: float) -> None:
    """See whether a number can be a temperature.

    Raises:
        ValueError: if it is no number, not above 0, or above 1e6.
    """
    if not isinstance(value, Real) or not 0 < value <= LARGEST:  # False for NaN
        raise ValueError(f'{name} must be a finite number > 0, at most {LARGEST:g}, got {value}')


class TemperatureBounds:
    """tau = tau_min + tau_range * sigmoid(theta), CTKD (AAAI 2023), eq. 4.

    Args:
        tau_min (float): Lower bound of tau, greater than 0.
        tau_range (float): Width of the interval, greater than 0.

    Raises:
        ValueError: if a bound is not a number above 0 and at most 1e6.
    """

    def __init__(self, tau_min: float, tau_range: float) -> None:
        for name, value in (('tau_min', tau_min), ('tau_range', tau_range)):
            check_temperature(name, value)
        self.tau_min, self.tau_range = float(tau_min), float(tau_range)

    @property
    def tau_max(self) -> float:
        """float: Upper bound of tau, never reached."""
        return self.tau_min + self.tau_range

    def tau(self, theta: Tensor) -> Tensor:
        """Temperature of ``theta``, same shape, in float32 or wider."""
        return self.tau_min + self.tau_range * at_least_float32(theta).sigmoid()

    def theta(self, tau: float) -> float:
        """The parameter at which the temperature is ``tau``.

        Raises:
            ValueError: if ``tau`` is not strictly between the bounds, or see :meth:`check_start`.
        """
        if not self.tau_min < tau < self.tau_max:
            raise ValueError(f'an initial temperature of {tau} does not lie strictly '
                             f'between {self.tau_min} and {self.tau_max}')
        theta = math.log((tau - self.tau_min) / (self.tau_max - tau))
        self.check_start(theta)
        return theta

    def check_start(self, theta: float) -> None:
        """See whether a temperature can move away from a first ``theta``.

        Raises:
            ValueError: if tau is so near a bound there that theta's gradient vanishes.
        """
        share = (1 + math.tanh(theta / 2)) / 2  # the sigmoid, which does not overflow
        tau = self.tau_min + self.tau_range * share
        if self.tau_range * share * (1 - share) < _FLAT * tau:
            raise ValueError(f'theta = {theta:.3g} starts at a bound of {self!r}, where its '
                             'gradient vanishes: tau would never move. Start further inside')

    def initial_theta(self, tau: Optional[float], otherwise: float) -> float:
        """The parameter to start from.

        Args:
            tau (float, optional): The temperature there. None is 1, at which
                the teacher was trained, if that is between the bounds.
            otherwise (float): The parameter if it is not.

        Raises:
            ValueError: if ``tau`` is not strictly between the bounds.
        """
        if tau is None and not self.tau_min < 1 < self.tau_max:
            return otherwise
        return self.theta(1.0 if tau is None else tau)

    def __repr__(self) -> str:
        return f'tau in ({self.tau_min:g}, {self.tau_max:g})'
