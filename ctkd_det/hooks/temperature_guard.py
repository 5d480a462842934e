"""Warns of a temperature that stays at a bound or does not move."""
from typing import Dict, Optional

from mmengine.runner import Runner

from ..log_names import telling_taus
from ..models.temperatures import LearnedTemperature
from .temperature_log import learned_temperatures

# a sigmoid is nearly flat within 2 % of the interval's width
_NEAR = 0.02
# with a smaller lambda the temperature is not expected to move
_LAMBDA = 0.1
# a relative change that shows in the log's digits
_MOVED = 0.01


class TemperatureGuard:
    """Warns, once for each temperature, if it stays at a bound or does not move.

    It stays at a bound if tau (of each group, or the mean of a batch) is
    within 2 % of the interval's width from it for ``patience`` iterations in
    a row. It does not move if, in ``patience`` iterations, tau has changed by
    less than 1 %. Iterations with a lambda of at most 0.1 are not counted. In a
    resumed training it is not asked to move: it may have done so before.

    Args:
        runner (Runner): Whose model is watched and whose logger warns.
        patience (int): Iterations.
    """

    def __init__(self, runner: Runner, patience: int) -> None:
        self.logger, self.patience = runner.logger, patience
        self.temperatures = dict(learned_temperatures(runner.model))
        self.resumed = runner.iter > 0
        self.watched: Dict[str, _Watch] = {}

    def look(self, outputs: Optional[dict]) -> None:
        """Check the values that the model has logged in this iteration."""
        for key, tau in telling_taus(outputs or {}).items():
            if tau.loss in self.temperatures:
                watch = self.watched.setdefault(
                    key, _Watch(self.temperatures[tau.loss], self.resumed))
                complaint = watch.see(float(outputs[key]), self.patience)
                if complaint:
                    self.logger.warning(f'The temperature of loss_{tau.loss} ({key}) {complaint}.')


class _Watch:
    """The history of one temperature."""

    def __init__(self, temperature: LearnedTemperature, moved: bool = False) -> None:
        self.temperature, self.moved = temperature, moved
        self.silent = False
        self.at_bound = self.at_rest = 0
        self.start: Optional[float] = None

    def see(self, tau: float, patience: int) -> Optional[str]:
        """Note tau; returns the complaint when there is one for the first time."""
        if self.silent or self.temperature.lambda_ <= _LAMBDA:
            return None
        bounds = self.temperature.bounds
        distance = min(tau - bounds.tau_min, bounds.tau_max - tau)
        self.at_bound = self.at_bound + 1 if distance <= _NEAR * bounds.tau_range else 0
        if not self.moved:
            self.start = tau if self.start is None else self.start
            self.moved = abs(tau - self.start) > _MOVED * self.start
            self.at_rest += 1
        complaint = None
        if self.at_bound >= patience:
            complaint = (f'has been at {tau:.3g}, within 2 % of a bound ({bounds}), for {patience} '
                         'iterations: widen tau_min and tau_range, or lower its learning rate '
                         '(custom_keys) or lambda_max')
        elif not self.moved and self.at_rest >= patience:
            complaint = (f'has not moved by 1 % from {self.start:.3g} for {patience} iterations: '
                         'raise its learning rate (custom_keys) or lambda_max')
        self.silent = complaint is not None
        return complaint
