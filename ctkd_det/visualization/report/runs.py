"""Reads what trainings have left in their work directories."""
import inspect
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from mmengine.config import Config
from mmengine.runner import Runner

from ...models.distilled_config import is_distilled
from ...work_dir import Series, WorkDir, WorkDirError

# names in the report -> names in mmdet's CocoMetric
METRICS = dict(mAP='bbox_mAP', AP50='bbox_mAP_50', AP75='bbox_mAP_75',
               APs='bbox_mAP_s', APm='bbox_mAP_m', APl='bbox_mAP_l')


class Missing(Exception):
    """A piece of the report has to be left out; the message says why, as a sentence."""


@dataclass
class TrainedRun:
    """One training as its work directory shows it.

    Attributes:
        work_dir: The directory.
        config: The config that mmengine has dumped there.
        stem: Name of the config file, without its suffix.
        scalars: Its curves, see :func:`ctkd_det.work_dir.read_scalars`.
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
    def seed(self) -> Optional[int]:
        """int or None: The config's seed, or the one that mmengine drew and logged."""
        seed = self.config.get('randomness', {}).get('seed')
        if seed is None and self.log:
            text = self.log.read_text(encoding='utf-8', errors='replace')
            found = re.search(r'^ +seed: (\d+)', text, re.M)
            seed = int(found.group(1)) if found else None
        return seed

    @property
    def length(self) -> Tuple[Optional[int], str]:
        """How long the training is meant to be, and in which unit."""
        loop = self.config.get('train_cfg') or {}
        if loop.get('max_epochs') is not None:
            return loop['max_epochs'], 'epoch'
        return loop.get('max_iters'), 'iteration'

    def curve(self, metric: str) -> Series:
        """A metric of :data:`METRICS` in % against epochs (or iterations).

        COCO's -1, which says that there is no object of that size, is left out.
        """
        steps, values = self.scalars.get(f'coco/{METRICS[metric]}', ([], []))
        kept = [(step, 100 * value) for step, value in zip(steps, values, strict=True)
                if value >= 0]
        return [step for step, _ in kept], [value for _, value in kept]

    @property
    def last_validation(self) -> Optional[float]:
        """float or None: Epoch (or iteration) of the last validation."""
        steps = [self.scalars[key][0][-1] for key in self.scalars if key.startswith('coco/')]
        return max(steps, default=None)

    def final(self, metric: str) -> Optional[float]:
        """A metric of :data:`METRICS` in % at the last validation; None if it has none."""
        steps, values = self.curve(metric)
        return values[-1] if steps and steps[-1] == self.last_validation else None

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
        Missing: if it holds no curves or no config that can be read.
    """
    folder = WorkDir(Path(work_dir))
    if not folder.path.is_dir():
        raise FileNotFoundError(f'{work_dir} is no directory')
    try:
        scalars = folder.scalars()
        return TrainedRun(folder.path, folder.config(), folder.config_name, scalars,
                          folder.log_file)
    except WorkDirError as error:
        raise Missing(str(error)) from error


def first_line(error: Exception) -> str:
    """Kind and first line of an error, for a sentence."""
    lines = str(error).strip().splitlines()
    return f'{type(error).__name__}: {lines[0][:200]}' if lines else type(error).__name__


def settings(config: Config) -> Dict[str, object]:
    """The config as dotted keys and plain values, as far as the Runner reads it.

    Other names in a config file are its own helpers, whose values show again
    where they are used.
    """
    read = inspect.signature(Runner.__init__).parameters
    return flatten({key: value for key, value in config.to_dict().items() if key in read})


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
