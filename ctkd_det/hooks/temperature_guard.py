"""Says so when a temperature sticks."""
from typing import Dict, Optional

from ..models.temperatures import LearnedTemperature
from .temperature_log import learned_temperatures

# within 2 % of the interval's width a sigmoid hardly moves any more
_NEAR = 0.02
# below this lambda nobody expects the temperature to move
_LAMBDA = 0.1
# a relative change that shows in the log's digits
_MOVED = 0.01


class TemperatureGuard:
    """Warns, once for each temperature, of one at a bound or at rest.

    At a bound: the mean tau of ``patience`` iterations in a row was within
    2 % of the interval's width. At rest: since lambda exceeded 0.1, tau has
    not moved by 1 % in ``patience`` iterations.

    Args:
        runner (Runner): Whose model is watched and whose logger warns.
        patience (int): Iterations.
    """

    def __init__(self, runner, patience: int) -> None:
        self.logger, self.patience = runner.logger, patience
        self.watched: Dict[str, _Watch] = {
            name: _Watch(temperature) for name, temperature in learned_temperatures(runner.model)}

    def look(self, outputs: Optional[dict]) -> None:
        """Look at the values that the model has logged in this iteration."""
        for name, watch in self.watched.items():
            tau = (outputs or {}).get(f'{name}.tau_mean')
            if tau is None or watch.reported:
                continue
            watch.see(float(tau))
            if watch.at_bound >= self.patience:
                self._warn(name, watch, f'has been at {float(tau):.3g}, within 2 % of a bound '
                           f'({watch.temperature.bounds})', 'widen tau_min/tau_range, lower the '
                           'learning rate (custom_keys) or lambda_max')
            elif watch.at_rest >= self.patience:
                self._warn(name, watch, f'has not moved by 1 % from {watch.start:.3g}',
                           'raise its learning rate (custom_keys) or lambda_max')

    def _warn(self, name: str, watch: '_Watch', what: str, advice: str) -> None:
        watch.reported = True
        self.logger.warning(f'The temperature of loss_{name} {what} for {self.patience} '
                            f'iterations: {advice}.')


class _Watch:
    """What one temperature has done lately."""

    def __init__(self, temperature: LearnedTemperature) -> None:
        self.temperature = temperature
        self.reported = False
        self.at_bound = self.at_rest = 0
        self.start: Optional[float] = None

    def see(self, tau: float) -> None:
        bounds = self.temperature.bounds
        distance = min(tau - bounds.tau_min, bounds.tau_max - tau)
        self.at_bound = self.at_bound + 1 if distance <= _NEAR * bounds.tau_range else 0
        if self.temperature.lambda_ <= _LAMBDA:
            return
        if self.start is None or abs(tau - self.start) > _MOVED * self.start:
            self.start, self.at_rest = tau, 0
        self.at_rest += 1
