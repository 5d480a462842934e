"""Logs and checks learned temperatures."""
from typing import Optional

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner

from .adaptive_steps import warn_of_short_steps
from .learning_rates import warn_of_decay, warn_of_schedules, warn_of_slow_adapters
from .temperature_guard import TemperatureGuard
from .temperature_log import log_gradients


@HOOKS.register_module()
class TemperatureMonitorHook(Hook):
    """Logs the gradients of learned temperatures, and warns of those that cannot work.

    The gradient is logged as the optimizer gets it (``ctkd.theta_grad``).
    The hook warns of a temperature

    - that has weight decay,
    - whose learning rate a schedule's ``eta_min`` or ``OneCycleLR`` would raise,
    - whose learning rate multiplier also slows the adapters of a feature loss,
    - that an optimizer such as Adam cannot move in this training
      (:func:`warn_of_short_steps`),
    - that stays at a bound or does not move (:class:`TemperatureGuard`).

    :class:`CurriculumHook` adds this hook; a config need not name it.

    Args:
        patience (int): Number of iterations after which a temperature that
            does not move is reported. Defaults to 1000.

    Raises:
        ValueError: if ``patience`` is below 1.
    """

    def __init__(self, patience: int = 1000) -> None:
        if patience < 1:
            raise ValueError(f'patience must be >= 1, got {patience}')
        self.patience = patience

    def before_train(self, runner: Runner) -> None:
        """Check the optimizer's settings and start logging."""
        self._guard = TemperatureGuard(runner, self.patience)
        warn_of_decay(runner)
        warn_of_schedules(runner)
        warn_of_slow_adapters(runner)
        warn_of_short_steps(runner)
        log_gradients(runner)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        """Check whether a temperature is stuck."""
        self._guard.look(outputs)
