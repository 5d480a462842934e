"""The curves that a training logs, joined over its resumed parts."""
import json
from pathlib import Path
from typing import Dict, List, Tuple, Union

from .starts import starts

Series = Tuple[List[float], List[float]]
_SCALARS = 'vis_data/scalars.json'  # of a start
SCALARS = f'*/{_SCALARS}'  # below a work directory, one for each start
_TIMES = ('time', 'data_time')


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
    files = [start / _SCALARS for start in trained_starts(Path(work_dir))]
    if not files:
        raise FileNotFoundError(f'{work_dir} is no work directory of a run: it contains no '
                                f'{SCALARS}')
    curves = _Curves()
    for file in files:
        for line in file.read_text(encoding='utf-8', errors='replace').splitlines():
            record = _parse(line)
            if 'lr' in record or 'iter' in record:
                curves.add_training(record)
            elif record:
                curves.add_validation(record)
    return curves.series()


def trained_starts(work_dir: Path) -> List[Path]:
    """The folders of the starts that logged curves, the latest one last; a test's has none."""
    trained = {path.parents[1] for path in work_dir.glob(SCALARS)}
    return [start for start in starts(work_dir) if start in trained]


class _Curves:
    """What the records of training and validation add up to, in the order of the files."""

    def __init__(self) -> None:
        self.trained = _Points()
        self.validated = _Points()
        self.step, self.epoch = 0.0, 0  # of the last record of the training
        self.by_epoch = False  # whether validations are counted in epochs

    def add_training(self, record: dict) -> None:
        if record['step'] < self.step or record.get('epoch', self.epoch) < self.epoch:
            self._replace_from(record)
        self.step, self.epoch = record['step'], record.get('epoch', 0)
        self.trained.add(self.step, record)

    def add_validation(self, record: dict) -> None:
        # LoggerHook's step is the epoch, which stays 0 in an iteration-based training
        step = record['step'] or self.step
        self.by_epoch = step == self.epoch
        self.validated.add(step, {name: value for name, value in record.items()
                                  if name not in _TIMES})

    def _replace_from(self, record: dict) -> None:
        """Remove what a later part, of which this is the first record, did anew."""
        begin = record['step']
        if begin >= self.step:
            # it began an epoch again in longer epochs: only the epochs can be compared
            begin = min(step for step, epoch in self.trained['epoch'].items()
                        if epoch >= record['epoch'])
        self.trained.drop(begin)
        self.validated.drop(record['epoch'] if self.by_epoch and 'epoch' in record
                            else record['step'])

    def series(self) -> Dict[str, Series]:
        return {name: (sorted(points), [points[step] for step in sorted(points)])
                for name, points in {**self.validated, **self.trained}.items() if points}


class _Points(Dict[str, Dict[float, float]]):
    """For each name the values by step."""

    def add(self, step: float, record: dict) -> None:
        for name, value in record.items():
            if name != 'step' and isinstance(value, (int, float)):
                self.setdefault(name, {})[step] = value

    def drop(self, begin: float) -> None:
        """Remove the points from a step on."""
        for points in self.values():
            for step in [step for step in points if step >= begin]:
                del points[step]


def _parse(line: str) -> dict:
    """A record, or nothing if a killed run left half a line."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) and 'step' in record else {}
