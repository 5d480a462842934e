"""Watches what learned temperatures do."""
from typing import Optional

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner

from .adaptive_steps import warn_of_short_steps
from .temperature_guard import TemperatureGuard
from .temperature_log import log_gradients, warn_of_decay, warn_of_slow_adapters


@HOOKS.register_module()
class TemperatureMonitorHook(Hook):
    """Logs the gradients of learned temperatures, and warns of those that do nothing.

    The gradient is logged as it reaches the optimizer (``ctkd.theta_grad``).
    Warned of is a temperature that has weight decay or whose multiplier also
    slows the adapters of a loss between features, that an optimizer of
    Adam's kind cannot move in this training (:func:`warn_of_short_steps`), that
    sticks at a bound or does not move (:class:`TemperatureGuard`).

    :class:`CurriculumHook` brings one along; a config need not name it.

    Args:
        patience (int): Iterations after which a temperature that sticks is
            reported. Defaults to 1000.

    Raises:
        ValueError: if ``patience`` is below 1.
    """

    def __init__(self, patience: int = 1000) -> None:
        if patience < 1:
            raise ValueError(f'patience must be >= 1, got {patience}')
        self.patience = patience

    def before_train(self, runner: Runner) -> None:
        """Begin to watch."""
        self._guard = TemperatureGuard(runner, self.patience)
        warn_of_decay(runner)
        warn_of_slow_adapters(runner)
        warn_of_short_steps(runner)
        log_gradients(runner)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        """Look whether a temperature sticks."""
        self._guard.look(outputs)
