"""What a training has left in its work directory: curves, config, checkpoints, log."""
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

from mmengine.config import Config

from .curves import SCALARS, Series, read_scalars, trained_starts
from .literal_config import read_literal_config
from .starts import starts

_EVENTS = '*/vis_data/*tfevents*'  # TensorBoard's


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
            file for kind in (SCALARS, _EVENTS) for file in self.path.glob(kind))

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
        """str: The name of the config file that was trained, without its suffix.

        A start that was refused, or a test, has left its config beside it. That of the training
        has the text of the start's own copy, and at least its model if a test has replaced it.
        """
        named = self._named_configs()
        if len(named) < 2:
            return named[0].stem if named else self.path.resolve().name
        trained = self.config_file
        model = _model(trained)
        # max takes the first of equals, and the newest is the last
        return max(reversed(named), key=lambda file: (
            file.read_bytes() == trained.read_bytes(), _model(file) == model)).stem

    def initial_weights(self) -> Optional[str]:
        """The ``load_from`` of the latest start that was no resume; None if there is none known.

        That of a resume is the checkpoint with which it goes on.
        """
        for file in reversed(self._of_trainings('vis_data/config.py')):
            config = _read(file)
            if not config.get('resume'):
                return config.get('load_from')
        return None

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
        return next(reversed(self._of_trainings('*.log')), None)

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
        return self._furthest('epoch_*.pth') or self._furthest('iter_*.pth')

    @property
    def best_checkpoint(self) -> Optional[Path]:
        """Path or None: The checkpoint of the best validation, if the training kept one."""
        return max(self._files('best_*.pth'), key=_age, default=None)

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
        if any(self.path.glob(SCALARS)):
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
        # a test in the same directory leaves a config and a log, too
        folders = trained_starts(self.path) or starts(self.path)
        return [file for start in folders for file in sorted(start.glob(pattern))]

    def _named_configs(self) -> List[Path]:
        return sorted(self._files('*.py'), key=_age)

    def _furthest(self, pattern: str) -> Optional[Path]:
        return max(self._files(pattern), key=_progress, default=None)

    def _files(self, pattern: str) -> List[Path]:
        """Those that are there: not links to what is gone, as an editor's lock is."""
        return [path for path in self.path.glob(pattern) if path.is_file()]


def find_runs(path: Union[str, Path]) -> List[WorkDir]:
    """The directory itself if a training was started in it, else those one or two levels down.

    ``--seed N`` puts them into ``seed_N/NAME``, studies into ``METHOD/seed_N``.

    Raises:
        FileNotFoundError: if it does not exist.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f'{path} is no directory')
    if WorkDir(path).is_run:
        return [WorkDir(path)]
    below = [WorkDir(folder) for pattern in ('*', '*/*')
             for folder in sorted(path.glob(pattern)) if folder.is_dir()]
    return [folder for folder in below if folder.is_run] or [WorkDir(path)]


def _read(file: Path) -> dict:
    """A dumped config; empty if it cannot be read."""
    try:
        return read_literal_config(file).to_dict()
    except (ValueError, OSError):
        return {}


def _model(file: Path) -> object:
    return _read(file).get('model')


def _progress(path: Path) -> Tuple[int, int]:
    """By the number in the name first: after ``cp -r`` the times are those of the copy."""
    number = re.search(r'\d+$', path.stem)
    return int(number[0]) if number else -1, _age(path)


def _age(path: Path) -> int:
    return path.stat().st_mtime_ns
