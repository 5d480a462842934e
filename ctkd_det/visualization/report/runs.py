"""Reads what trainings have left in their work directories."""
import inspect
import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from mmengine.config import Config
from mmengine.runner import Runner

from ...configs import comparable
from ...curves import Series
from ...log_names import short_name
from ...models.distilled_config import is_distilled
from ...work_dir import WorkDir, WorkDirError
from .metrics import Metric, validation_names

# where a run was written and how it was started
_NO_SETTINGS = ('work_dir', 'experiment_name', 'resume', 'launcher')
# what mmengine's EarlyStoppingHook writes when it ends a training
_STOPPED = re.compile('the monitored metric did not improve in the last|'
                      'Stopping threshold reached: |Monitored metric .* is infinite')


class Missing(Exception):
    """A piece of the report has to be left out; the message says why, as a sentence."""


@dataclass
class TrainedRun:
    """One training as its work directory shows it.

    Attributes:
        work_dir: The directory.
        config: The config that mmengine has dumped there, with the weights from which the
            training began if it was resumed.
        stem: Name of the config file, without its suffix.
        scalars: Its curves, see :func:`ctkd_det.curves.read_scalars`.
        log: Its latest log file, if there is one.
        name: What it is called in the report.
    """
    work_dir: Path
    config: Config
    stem: str
    scalars: Dict[str, Series]
    log: Optional[Path]
    name: str = field(default='')

    @property
    def distilled(self) -> bool:
        """bool: Whether it learns from a teacher."""
        return is_distilled(self.config.get('model', {}))

    @property
    def losses(self) -> Dict[str, dict]:
        """dict: Configs of its distillation losses by their short names, ``ctkd``."""
        losses = self.config.get('model', {}).get('distill_losses') or {}
        return {short_name(name): cfg for name, cfg in losses.items() if isinstance(cfg, dict)}

    @cached_property
    def settings(self) -> Dict[str, object]:
        """dict: What its method is, the seed included, as dotted keys and plain values.

        Names in a config that the Runner does not read are the file's own helpers, whose values
        show again where they are used.
        """
        read = set(inspect.signature(Runner.__init__).parameters).difference(_NO_SETTINGS)
        return flatten({key: value for key, value in comparable(self.config.to_dict()).items()
                        if key in read and value is not None})

    @cached_property
    def seed(self) -> Optional[int]:
        """int or None: The config's seed, or the one that mmengine drew and logged."""
        seed = self.config.get('randomness', {}).get('seed')
        if seed is None:
            found = re.search(r'^ +seed: (\d+)', self.log_text(), re.M)
            seed = int(found.group(1)) if found else None
        return seed

    @property
    def length(self) -> Tuple[Optional[int], str]:
        """How long the training is meant to be, and in which unit."""
        loop = self.config.get('train_cfg') or {}
        if loop.get('max_epochs') is not None:
            return loop['max_epochs'], 'epoch'
        return loop.get('max_iters'), 'iteration'

    @property
    def finished(self) -> bool:
        """bool: Whether the last validation is that of the planned end, as far as the log says.

        Of an iteration-based training it says after which logged iteration it was.
        """
        length, unit = self.length
        steps, _ = self.scalars.get('lr', ([], []))
        interval = steps[-1] - steps[-2] if unit == 'iteration' and len(steps) > 1 else 1
        return length is None or (self.last_validation or 0) + interval > length

    @property
    def stopped_early(self) -> bool:
        """bool: Whether mmengine's EarlyStoppingHook says in the log that it ended the training."""
        return bool(_STOPPED.search(self.log_text()))

    def log_text(self) -> str:
        """The log, read anew, for that of a long training is large; '' without one."""
        return self.log.read_text(encoding='utf-8', errors='replace') if self.log else ''

    def curve(self, metric: Metric) -> Tuple[List[float], List[Optional[float]]]:
        """A metric as it is shown, against epochs (or iterations); None where not measured."""
        steps, values = self.scalars.get(metric.key(self.scalars), ([], []))
        return steps, [metric.shown(value) for value in values]

    @property
    def last_validation(self) -> Optional[float]:
        """float or None: Epoch (or iteration) of the last validation."""
        steps = [self.scalars[name][0][-1] for name in validation_names(self.scalars)]
        return max(steps, default=None)

    def final(self, metric: Metric) -> Optional[float]:
        """A metric as it is shown at the last validation; None if it was not measured."""
        steps, values = self.curve(metric)
        return values[-1] if steps and steps[-1] == self.last_validation else None

    def unmeasured(self, metric: Metric) -> str:
        """What the last validation logged where it could not measure, in words."""
        steps, values = self.scalars.get(metric.key(self.scalars), ([], []))
        if not steps or steps[-1] != self.last_validation or self.final(metric) is not None:
            return ''
        return (f'{metric.title} is {"NaN" if math.isnan(values[-1]) else f"{values[-1]:g}"} at '
                f'{self.length[1]} {steps[-1]:g}')

    @property
    def minutes(self) -> Optional[float]:
        """float or None: What its iterations have taken, without validations."""
        steps, seconds = self.scalars.get('time', ([], []))
        if not steps:
            return None
        lengths = [step - before for before, step in zip([0, *steps], steps, strict=False)]
        return sum(n * s for n, s in zip(lengths, seconds, strict=True)) / 60

    @property
    def last_checkpoint(self) -> Optional[Path]:
        """Path or None: The last checkpoint, else the best.

        The last comes first because it is what the table's numbers are of.
        """
        folder = WorkDir(self.work_dir)
        return folder.last_checkpoint or folder.best_checkpoint


def read_run(work_dir: Path) -> TrainedRun:
    """Read a work directory.

    Raises:
        FileNotFoundError: if it does not exist.
        Missing: if it holds no curves, or no config of a detector that can be
            read.
    """
    folder = WorkDir(Path(work_dir))
    if not folder.path.is_dir():
        raise FileNotFoundError(f'{work_dir} is no directory')
    try:
        scalars, config = folder.scalars(), folder.config()
    except WorkDirError as error:
        raise Missing(str(error)) from error
    if config.get('resume'):
        config.load_from = folder.initial_weights()
    if not isinstance(config.get('model'), dict):
        raise Missing(f'The config in {work_dir} has no model.')
    return TrainedRun(folder.path, config, folder.config_name, scalars, folder.log_file)


def flatten(value, prefix: str = '') -> Dict[str, object]:
    """A nested config as dotted keys and plain values."""
    if isinstance(value, dict):
        items: List = list(value.items())
    elif isinstance(value, (list, tuple)) and any(isinstance(v, dict) for v in value):
        items = list(enumerate(value))
    else:
        return {prefix: value}
    flat: Dict[str, object] = {}
    for key, item in items:
        flat.update(flatten(item, f'{prefix}.{key}' if prefix else str(key)))
    return flat or {prefix: value}
