"""Sets lambda and the progress of scheduled temperatures in every iteration."""
import math
from numbers import Integral
from typing import Optional

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner

from ..models.temperatures import GradientReversal, ScheduledTemperature
from ..models.temperatures.curves import CURVES
from .epoch_length import count_in_new_epochs, note_epoch_length
from .temperature_monitor_hook import TemperatureMonitorHook


@HOOKS.register_module()
class CurriculumHook(Hook):
    r"""Sets lambda, the strength of the adversary, in every iteration.

    .. math::
        \lambda = \lambda_{min} + (\lambda_{max} - \lambda_{min}) f(p)

    with progress p from 0 at ``begin`` to 1 at ``end``, and
    :math:`f(p) = (1 - \cos \pi p) / 2` for the cosine; CTKD (AAAI 2023),
    eq. 6. lambda depends on the runner's iteration alone, so a resumed run
    continues with the same values. Checkpoints contain these settings. If a
    run is resumed with other ones, the hook warns and uses the new ones.
    ``begin``, ``end``, ``by_epoch`` and ``convert_to_iter_based`` mean what
    they mean in mmengine's schedulers.

    A step counts as done while it runs, as in the paper's code: with
    ``end=10, convert_to_iter_based=False`` the ten epochs have lambda
    .024 .095 .206 .345 .5 .655 .794 .905 .976 1, and 1 from then on. Converted
    to iterations, each epoch's last iteration has that epoch's value.

    A :class:`ScheduledTemperature` gets p itself. The hook adds a
    :class:`TemperatureMonitorHook` to a training that has none.

    Args:
        begin (int): Epoch or iteration at which lambda starts to grow.
            Defaults to 0.
        end (int, optional): Epoch or iteration at which lambda reaches
            ``lambda_max``. Defaults to None, the end of the training.
        by_epoch (bool): Whether ``begin`` and ``end`` count epochs. Defaults
            to True.
        convert_to_iter_based (bool): Whether lambda changes in every
            iteration if they count epochs. Defaults to True.
        schedule (str): 'cosine', 'linear' or 'constant' (``lambda_max`` from
            ``begin`` on). Defaults to 'cosine'.
        lambda_min (float): Strength before ``begin``. Defaults to 0.
        lambda_max (float): Strength from ``end`` on. Defaults to 1.
        patience (int): The monitor's. Defaults to 1000.

    Raises:
        ValueError: if an argument is out of its range, or ``begin`` is not
            before the end of the training.
    """

    def __init__(self,
                 begin: int = 0,
                 end: Optional[int] = None,
                 by_epoch: bool = True,
                 convert_to_iter_based: bool = True,
                 schedule: str = 'cosine',
                 lambda_min: float = 0.0,
                 lambda_max: float = 1.0,
                 patience: int = 1000) -> None:
        if not all(isinstance(step, Integral) for step in (begin, begin if end is None else end)):
            raise ValueError('begin and end count epochs or iterations, so they are integers, got '
                             f'begin={begin}, end={end}')
        if begin < 0 or (end is not None and end <= begin):
            raise ValueError(f'need 0 <= begin < end, got begin={begin}, end={end}')
        if schedule not in CURVES:
            raise ValueError(f'schedule must be one of {sorted(CURVES)}, got {schedule!r}')
        if not 0 <= lambda_min <= lambda_max < math.inf:
            raise ValueError('need finite 0 <= lambda_min <= lambda_max, got '
                             f'lambda_min={lambda_min}, lambda_max={lambda_max}')
        self.begin, self.end = begin, end
        self.by_epoch = by_epoch
        self.convert_to_iter_based = convert_to_iter_based
        self.schedule = schedule
        self.lambda_min, self.lambda_max = lambda_min, lambda_max
        self._monitor = TemperatureMonitorHook(patience)
        self._resumed: dict = {}

    def before_run(self, runner: Runner) -> None:
        """Add a monitor if the training has none."""
        if not any(isinstance(hook, TemperatureMonitorHook) for hook in runner.hooks):
            runner.register_hook(self._monitor)

    def before_train(self, runner: Runner) -> None:
        """Find the gradient reversal layers and the scheduled temperatures.

        Raises:
            ValueError: if the curriculum would begin after the training's end.
        """
        modules = list(runner.model.modules())
        self._layers = [m for m in modules if isinstance(m, GradientReversal)]
        self._scheduled = [m for m in modules if isinstance(m, ScheduledTemperature)]
        if not self._layers and not self._scheduled:
            runner.logger.warning('CurriculumHook: the model has no learnable or scheduled '
                                  'temperature, there is nothing to drive')
        self._check_begin(runner)
        self._warn_of_change(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: DATA_BATCH = None) -> None:
        """Set lambda for the iteration that is about to run."""
        progress = self.progress(runner)
        for layer in self._layers:
            layer.lambda_ = self.lambda_min if progress is None else (
                self.lambda_min
                + (self.lambda_max - self.lambda_min) * CURVES[self.schedule](progress))
        for temperature in self._scheduled:
            temperature.progress = progress or 0.0

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Save the settings of the curriculum and the length of an epoch."""
        checkpoint['curriculum'] = self._settings(runner)
        note_epoch_length(runner, checkpoint)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read the settings of the run that is resumed."""
        self._resumed = checkpoint.get('curriculum', {}) if runner._resume else {}
        if runner._resume:
            count_in_new_epochs(runner, checkpoint)

    def _check_begin(self, runner: Runner) -> None:
        length = runner.max_iters / (len(runner.train_dataloader) if self.by_epoch else 1)
        if self.begin >= length:
            raise ValueError(
                f'CurriculumHook: this training has {length:g} '
                f'{"epochs" if self.by_epoch else "iterations"}, so begin={self.begin} is never '
                f'reached. Lambda would stay {self.lambda_min:g}')

    def _warn_of_change(self, runner: Runner) -> None:
        changes = [f'{key} from {self._resumed[key]!r} to {value!r}'
                   for key, value in self._settings(runner).items()
                   if self._resumed.get(key, value) != value]
        if changes:
            runner.logger.warning('CurriculumHook: resumed with another curriculum than the '
                                  f"checkpoint's, which now applies: {', '.join(changes)}")

    def _settings(self, runner: Runner) -> dict:
        """The settings that lambda depends on; ``end`` is a number also if the argument is None."""
        end = self.end
        if end is None:
            end = runner.max_iters
            if self.by_epoch:
                end /= len(runner.train_dataloader)
        return dict(begin=self.begin, end=end, by_epoch=self.by_epoch,
                    convert_to_iter_based=self.convert_to_iter_based, schedule=self.schedule,
                    lambda_min=self.lambda_min, lambda_max=self.lambda_max)

    def progress(self, runner: Runner) -> Optional[float]:
        """Progress p of the runner's present iteration; None before ``begin``."""
        length, step = 1, runner.iter
        last = runner.max_iters
        if self.by_epoch:
            epoch_length = len(runner.train_dataloader)
            if self.convert_to_iter_based:
                length = epoch_length
            else:
                step, last = step // epoch_length, last / epoch_length
        begin = self.begin * length
        end = last if self.end is None else self.end * length
        if step < begin:
            return None
        return min((step + 1 - begin) / (end - begin), 1.0)
