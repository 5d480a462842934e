"""What a training has left in its work directory: curves, config, checkpoints, log."""
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

from mmengine.config import Config

from .literal_config import read_literal_config

Series = Tuple[List[float], List[float]]
_CURVES = '*/vis_data/scalars.json'
_EVENTS = '*/vis_data/*tfevents*'  # TensorBoard's
_TIMES = ('time', 'data_time')


class WorkDirError(ValueError):
    """A work directory lacks what is asked for; the message is a sentence that says what to do."""


@dataclass(frozen=True)
class WorkDir:
    """A work directory as mmengine fills it.

    Each start of the training has a folder in it, named after the time, with
    a log, the curves and the config of that start.

    Attributes:
        path: The directory.
    """
    path: Path

    @property
    def is_run(self) -> bool:
        """bool: Whether a training has logged or saved something; a test has not."""
        return self.last_saved is not None or any(
            file for kind in (_CURVES, _EVENTS) for file in self.path.glob(kind))

    @property
    def config_file(self) -> Path:
        """Path: The config of the latest start, its overrides included.

        Raises:
            WorkDirError: if there is none.
        """
        files = self._of_trainings('vis_data/config.py') or self._named_configs()
        if not files:
            raise WorkDirError(f'{self.path} holds no config as mmengine dumps it.')
        return files[-1]

    @property
    def config_name(self) -> str:
        """str: The name of the config file that was trained, without its suffix."""
        named = self._named_configs()
        return named[-1].stem if named else self.path.resolve().name

    def config(self) -> Config:
        """Read the config of the latest start; it is not executed.

        Raises:
            WorkDirError: if there is none, or it is not as mmengine dumps it.
        """
        file = self.config_file
        try:
            return read_literal_config(file)
        except (ValueError, OSError) as error:
            raise WorkDirError(f'The config in {self.path} cannot be read: {error}.') from error

    @property
    def log_file(self) -> Optional[Path]:
        """Path or None: The log of the latest start of the training."""
        return max(self._of_trainings('*.log'), default=None)

    @property
    def last_saved(self) -> Optional[str]:
        """str or None: Name of the last checkpoint that was written to its end."""
        return Path(self._pointer).name if self._pointer is not None else None

    @property
    def _pointer(self) -> Optional[str]:
        pointer = self.path / 'last_checkpoint'  # mmengine writes it after the checkpoint
        if not pointer.exists():
            return None
        text = pointer.read_text(encoding='utf-8', errors='replace').strip()
        return text if '\0' not in text else ''

    @property
    def last_checkpoint(self) -> Optional[Path]:
        """Path or None: The last checkpoint that is there."""
        # by name, for the directory may have been moved; else where the hook's out_dir is
        for path in (self.path / (self.last_saved or ''), Path(self._pointer or '')):
            if path.is_file():
                return path
        return self._newest('epoch_*.pth') or self._newest('iter_*.pth')

    @property
    def best_checkpoint(self) -> Optional[Path]:
        """Path or None: The checkpoint of the best validation, if the training kept one."""
        return self._newest('best_*.pth')

    def scalars(self) -> Dict[str, Series]:
        """Read the curves, see :func:`read_scalars`.

        Raises:
            WorkDirError: if there are none; the message says why.
        """
        try:
            scalars = read_scalars(self.path)
        except FileNotFoundError:
            scalars = {}
        if not scalars:
            raise WorkDirError(f'{self.path} holds no curves: {self._why_no_curves()}.')
        return scalars

    def _why_no_curves(self) -> str:
        if any(self.path.glob(_CURVES)):
            return 'its training has not logged anything yet'
        backends = self._backends()
        if backends and 'LocalVisBackend' not in backends:
            return (f'its training logged to {", ".join(backends)} alone, and curves are read '
                    "from what mmengine's LocalVisBackend writes. Add dict(type='LocalVisBackend') "
                    "to the config's visualizer.vis_backends and train again")
        return ('its training has not logged anything yet, or it is no work directory of '
                'mmengine')

    def _backends(self) -> List[str]:
        """The visualizer's backends by the config, else by the files that they leave."""
        try:
            backends = (self.config().get('visualizer') or {}).get('vis_backends') or []
        except WorkDirError:
            backends = []
        found = [str(backend.get('type')) for backend in backends if isinstance(backend, dict)]
        events = any(self.path.glob(_EVENTS))
        return found or (['TensorboardVisBackend'] if events else [])

    def _of_trainings(self, pattern: str) -> List[Path]:
        """Files in the starts' folders, by time; those of trainings alone if there are any."""
        starts = sorted(folder for folder in self.path.glob('*') if folder.is_dir())
        # a test in the same directory leaves a config and a log, too, but no curves
        trained = [start for start in starts if (start / 'vis_data' / 'scalars.json').exists()]
        return [file for start in trained or starts for file in sorted(start.glob(pattern))]

    def _named_configs(self) -> List[Path]:
        return sorted(self.path.glob('*.py'), key=_age)

    def _newest(self, pattern: str) -> Optional[Path]:
        return max(self.path.glob(pattern), key=_age, default=None)


def find_runs(path: Union[str, Path]) -> List[WorkDir]:
    """The directory itself if a training was started in it, else those of its folders.

    Raises:
        FileNotFoundError: if it does not exist.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f'{path} is no directory')
    if WorkDir(path).is_run:
        return [WorkDir(path)]
    below = [WorkDir(folder) for folder in sorted(path.iterdir()) if folder.is_dir()]
    return [folder for folder in below if folder.is_run] or [WorkDir(path)]


def read_scalars(work_dir: Union[str, Path]) -> Dict[str, Series]:
    """Curves of a run, all its resumed parts joined.

    A later part counts from its first logged iteration on, and what an earlier
    one logged from there on does not: it was repeated, replaced by a training
    that began anew, or counted in another batch size. If the epoch falls while
    the iteration does not, all counts from that epoch on that the later part
    logged. ``time`` and ``data_time`` are those of the training; validation
    logs its own under the same names.

    Args:
        work_dir (str | Path): The run's work directory, as mmengine fills it.

    Returns:
        dict[str, tuple[list, list]]: For each name the steps (iterations; for
        metrics such as ``coco/...`` the epochs, or in iteration-based runs the
        iterations, the last logged ones where the log has the epoch alone) and
        the values.

    Raises:
        FileNotFoundError: if the directory holds no ``scalars.json``.
    """
    files = sorted(Path(work_dir).glob(_CURVES))
    if not files:
        raise FileNotFoundError(f'{work_dir} is no work directory of a run: it contains no '
                                f'{_CURVES}')
    trained: Dict[str, Dict[float, float]] = {}
    validated: Dict[str, Dict[float, float]] = {}
    last, epoch, by_epoch = 0.0, 0, False
    for file in files:
        for line in file.read_text(encoding='utf-8', errors='replace').splitlines():
            record = _parse(line)
            training = 'lr' in record or 'iter' in record
            if training:
                if record['step'] < last or record.get('epoch', epoch) < epoch:
                    _drop(trained, _begin(record, last, trained))
                    _drop(validated, record['epoch'] if by_epoch and 'epoch' in record
                          else record['step'])
                last, epoch = record['step'], record.get('epoch', 0)
                step = last
            elif record:
                # LoggerHook's step is the epoch, which stays 0 in an iteration-based training
                step = record['step'] or last
                by_epoch = step == epoch
            for name, value in record.items():
                if name == 'step' or not isinstance(value, (int, float)):
                    continue
                if training:
                    trained.setdefault(name, {})[step] = value
                elif name not in _TIMES:
                    validated.setdefault(name, {})[step] = value
    return {name: (sorted(points), [points[step] for step in sorted(points)])
            for name, points in {**validated, **trained}.items() if points}


def _begin(record: dict, last: float, trained: Dict[str, Dict[float, float]]) -> float:
    """The step from which on a later part's first record replaces what was logged before."""
    if record['step'] < last:
        return record['step']
    # it began an epoch again in longer epochs: only the epochs can be compared
    return min(step for step, epoch in trained['epoch'].items() if epoch >= record['epoch'])


def _drop(series: Dict[str, Dict[float, float]], begin: float) -> None:
    """Remove the points from a step on."""
    for points in series.values():
        for step in [step for step in points if step >= begin]:
            del points[step]


def _parse(line: str) -> dict:
    """A record, or nothing if a killed run left half a line."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) and 'step' in record else {}


def _age(path: Path) -> int:
    return path.stat().st_mtime_ns
