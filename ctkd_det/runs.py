"""Trainings and evaluations in processes of their own, resumable, with progress.

What a run has done is read from the work directory that mmengine fills, so a
run that finished is never repeated and one that was interrupted goes on.
"""
import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from .curves import Series, read_scalars
from .log_names import telling_taus
from .work_dir import WorkDir

console = Console()


class RunFailed(RuntimeError):
    """A training or evaluation ended with an error."""


@dataclass
class Run:
    """One training.

    Attributes:
        title: What it is called on the screen.
        config: Its config file.
        work_dir: Where it writes.
        epochs: How many it takes.
        options: ``key=value`` overrides of the config.
    """
    title: str
    config: Path
    work_dir: Path
    epochs: int
    options: Sequence[str] = ()
    process: Optional[subprocess.Popen] = field(default=None, repr=False)

    @property
    def checkpoint(self) -> Path:
        """Path: The last one, which exists when the run is finished."""
        return self.work_dir / f'epoch_{self.epochs}.pth'

    @property
    def finished(self) -> bool:
        """bool: Whether the last checkpoint is written, to its end."""
        return WorkDir(self.work_dir).last_saved == self.checkpoint.name

    @property
    def seconds(self) -> float:
        """float: How long it took, interruptions not counted."""
        clock = self.work_dir / 'seconds.txt'
        return float(clock.read_text(encoding='utf-8')) if clock.exists() else 0.0

    @seconds.setter
    def seconds(self, value: float) -> None:
        (self.work_dir / 'seconds.txt').write_text(str(value), encoding='utf-8')

    @property
    def scalars(self) -> Dict[str, Series]:
        """dict: Its curves so far, see :func:`read_scalars`."""
        try:
            return read_scalars(self.work_dir)
        except FileNotFoundError:
            return {}

    def start(self, threads: int) -> None:
        """Start or resume it, with its output in ``log.txt``."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        self.process = _launch(
            ['train', self.config, '--work-dir', self.work_dir, '--resume'], self.options,
            self.work_dir / 'log.txt', threads)

    def news(self) -> str:
        """The latest of its curves, in a few words."""
        shown = dict(epoch='.0f', iter='.0f', loss='.2f', mAP='.3f', tau='.2f')
        scalars = self.scalars
        words = dict.fromkeys(telling_taus(scalars), 'tau')
        latest = {words.get(key, key.replace('coco/bbox_', '')): values[-1]
                  for key, (_, values) in scalars.items()}
        return '  '.join(f'{k} {latest[k]:{form}}' for k, form in shown.items() if k in latest)


def train(runs: Sequence[Run], interval: float = 2.0) -> None:
    """Train side by side whatever is not finished, showing progress.

    Args:
        runs (Sequence[Run]): The trainings; the processor's cores are shared
            out among them.
        interval (float): Seconds between two looks at them. Defaults to 2.

    Raises:
        RunFailed: if one fails; the others are stopped.
    """
    runs = [run for run in runs if not run.finished]
    columns = (TextColumn('{task.description:15}'), BarColumn(), TextColumn('{task.fields[news]}'),
               TimeElapsedColumn())
    try:
        for run in runs:
            run.start(threads=max(1, (os.cpu_count() or 1) // len(runs)))
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            _watch(runs, progress, interval)
    finally:
        for run in runs:
            if run.process:
                run.process.terminate()
                run.process.wait()


def _watch(runs: List[Run], progress: Progress, interval: float) -> None:
    tasks = [progress.add_task(run.title, total=run.epochs, news='starting') for run in runs]
    started, before = time.time(), [run.seconds for run in runs]
    said, alive = started, list(runs)
    while alive:
        time.sleep(interval)
        for run, task, seconds in zip(runs, tasks, before, strict=True):
            if run in alive:
                run.seconds = seconds + time.time() - started
                epoch = run.scalars.get('epoch', ([], [0]))[1][-1]
                progress.update(task, completed=epoch, news=run.news())
        alive = [run for run in runs if run.process.poll() is None]
        for run in runs:
            if run.process.poll():
                raise RunFailed(f'{run.title} failed; {_tail(run.work_dir / "log.txt")}')
        if not console.is_terminal and time.time() - said > 30:
            said = time.time()
            print(' | '.join(f'{run.title}: {run.news()}' for run in alive), flush=True)


def evaluate(config: Path, checkpoint: Path, out: Path, options: Sequence[str] = ()) -> dict:
    """COCO metrics of a checkpoint by ``ctkd-det test``, kept in ``out`` for the next time.

    Raises:
        RunFailed: if the evaluation fails.
    """
    if not list(out.glob('*/*.json')):
        out.mkdir(parents=True, exist_ok=True)
        process = _launch(['test', config, checkpoint, '--work-dir', out], options,
                          out / 'log.txt', os.cpu_count() or 1)
        if process.wait():
            raise RunFailed(f'evaluating {checkpoint} failed; {_tail(out / "log.txt")}')
    return json.loads(sorted(out.glob('*/*.json'))[-1].read_text(encoding='utf-8'))


def _launch(command: list, options: Sequence[str], log: Path, threads: int) -> subprocess.Popen:
    command = [sys.executable, '-m', 'ctkd_det_cli', *map(str, command)]
    command += ['--cfg-options', *options] if options else []
    console.print('$ ' + shlex.join(command), style='dim', soft_wrap=True, highlight=False,
                  markup=False)
    with open(log, 'a', encoding='utf-8') as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT,
                                env=dict(os.environ, OMP_NUM_THREADS=str(threads)))


def _tail(log: Path) -> str:
    lines = log.read_text(encoding='utf-8', errors='replace').splitlines()
    return f'the end of {log}:\n' + '\n'.join(lines[-15:])
