"""Makes the task harder as training goes on."""
from typing import List, Optional

from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH

from mmdet.registry import HOOKS
from ..models.temperatures import GradientReversal
from .schedules import SCHEDULES
from .temperature_log import log_gradients, warn_of_decay


@HOOKS.register_module()
class CurriculumHook(Hook):
    r"""Sets lambda, the strength of the adversary, in every iteration.

    .. math::
        \lambda = \lambda_{min} + (\lambda_{max} - \lambda_{min}) f(p)

    with progress p from 0 at ``begin`` to 1 at ``end``, and
    :math:`f(p) = (1 - \cos \pi p) / 2` for the cosine; CTKD (AAAI 2023),
    eq. 6. lambda is a function of the runner's iteration alone, so a resumed
    run goes on exactly where it was. ``begin``, ``end``, ``by_epoch`` and
    ``convert_to_iter_based`` mean what they mean in mmengine's schedulers.

    A step counts as done while it runs, as in the paper's code: with
    ``end=10, convert_to_iter_based=False`` the ten epochs have lambda
    .024 .095 .206 .345 .5 .655 .794 .905 .976 1, and 1 from then on. Converted
    to iterations, each epoch's last iteration has that epoch's value.

    The hook also logs the gradient of each learned temperature as it reaches
    the optimizer (``ctkd.theta_grad``), and warns of weight decay on one.

    Args:
        begin (int): Epoch or iteration at which lambda starts to grow.
            Defaults to 0.
        end (int, optional): Epoch or iteration at which it is complete.
            Defaults to None, the end of the training.
        by_epoch (bool): Whether those are epochs. Defaults to True.
        convert_to_iter_based (bool): Whether lambda changes in every
            iteration although they are epochs. Defaults to True.
        schedule (str): 'cosine', 'linear' or 'constant' (``lambda_max`` from
            ``begin`` on). Defaults to 'cosine'.
        lambda_min (float): Strength before ``begin``. Defaults to 0.
        lambda_max (float): Strength from ``end`` on. Defaults to 1.

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(self,
                 begin: int = 0,
                 end: Optional[int] = None,
                 by_epoch: bool = True,
                 convert_to_iter_based: bool = True,
                 schedule: str = 'cosine',
                 lambda_min: float = 0.0,
                 lambda_max: float = 1.0) -> None:
        if begin < 0 or (end is not None and end <= begin):
            raise ValueError(f'need 0 <= begin < end, got begin={begin}, end={end}')
        if schedule not in SCHEDULES:
            raise ValueError(f'schedule must be one of {sorted(SCHEDULES)}, got {schedule!r}')
        if not 0 <= lambda_min <= lambda_max:
            raise ValueError('need 0 <= lambda_min <= lambda_max, got '
                             f'lambda_min={lambda_min}, lambda_max={lambda_max}')
        self.begin, self.end = begin, end
        self.by_epoch = by_epoch
        self.convert_to_iter_based = convert_to_iter_based
        self.schedule = SCHEDULES[schedule]
        self.lambda_min, self.lambda_max = lambda_min, lambda_max
        self._layers: List[GradientReversal] = []

    def before_train(self, runner) -> None:
        """Find the gradient reversal layers, and watch their temperatures."""
        self._layers = [m for m in runner.model.modules() if isinstance(m, GradientReversal)]
        if not self._layers:
            runner.logger.warning('CurriculumHook: the model has no learnable temperature, '
                                  'there is nothing to drive')
        warn_of_decay(runner)
        log_gradients(runner)

    def before_train_iter(self, runner, batch_idx: int, data_batch: DATA_BATCH = None) -> None:
        """Set lambda for the iteration that is about to run."""
        lambda_ = self.lambda_at(runner)
        for layer in self._layers:
            layer.lambda_ = lambda_

    def lambda_at(self, runner) -> float:
        """Strength of the adversary in the runner's present iteration."""
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
            return self.lambda_min
        progress = min((step + 1 - begin) / (end - begin), 1.0)
        return self.lambda_min + (self.lambda_max - self.lambda_min) * self.schedule(progress)
