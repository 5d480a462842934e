"""The progress of a training on the screen."""
import logging
import sys
import time
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

import mmcv
import mmdet
import mmengine
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from ctkd_det.log_names import short_name
from ..lasting import Lasting
from . import Training
from .opening import epochs_of, opening
from .result import metric_of, tau_names

LIBRARIES = tuple(str(Path(package.__file__).parent) for package in (mmcv, mmdet, mmengine))
INTERVAL = 30  # seconds between lines where there is no terminal


class Screen:
    """The terminal, or the pipe, that the command was started with."""

    def __init__(self) -> None:
        # not whatever sys.stdout is later on, when it is redirected
        self.out = Lasting(sys.stdout)
        self.console = Console(file=self.out, soft_wrap=True, highlight=False, markup=False)
        self.progress = Progress(
            TextColumn('{task.description}'), BarColumn(bar_width=12),
            TextColumn('{task.fields[news]}'),
            console=self.console, transient=True, redirect_stdout=False, redirect_stderr=False,
            disable=not self.console.is_terminal)
        self.task: Optional[TaskID] = None
        self.iterations = 0
        self.said = 0.0

    def __enter__(self) -> 'Screen':
        return self

    def __exit__(self, *error: Any) -> None:
        self.progress.stop()

    def say(self, text: str) -> None:
        """Write lines that stay."""
        self.console.print(text)

    def begin(self, iterations: int) -> None:
        """Start the bar."""
        self.iterations = iterations
        self.task = self.progress.add_task('', total=iterations, news='')
        self.progress.start()

    def update(self, done: int, epoch: str, news: str, important: bool = False) -> None:
        """Move the bar, or write a line now and then.

        Args:
            done (int): Iterations so far.
            epoch (str): The epoch in words; empty if the training counts none.
            news (str): What happened.
            important (bool): Whether it is written in any case.
        """
        if self.console.is_terminal and self.task is not None:
            self.progress.update(self.task, completed=done, description=epoch, news=news)
        if important or not self.console.is_terminal and time.monotonic() - self.said > INTERVAL:
            self.said = time.monotonic()
            self.say(f'{epoch} iteration {done}/{self.iterations}  {news}'.lstrip())

    def warnings(self) -> logging.Handler:
        """A handler that shows warnings.

        Those of mmcv, mmengine and mmdet are dozens in every training, for
        example one for each frozen weight; they are in the log alone.
        """
        handler = logging.Handler(logging.WARNING)
        handler.addFilter(lambda record: record.levelno >= logging.ERROR
                          or not record.pathname.startswith(LIBRARIES))
        handler.emit = lambda record: self.say(  # type: ignore[method-assign]
            f'{record.levelname.lower()}: {record.getMessage()}')
        return handler


class ProgressHook(Hook):
    """Shows the progress of a training on the screen.

    Args:
        screen (Screen): Where to show it.
        training (Training): What is trained.
        log (Path): Where all the rest is written.
    """

    def __init__(self, screen: Screen, training: Training, log: Path) -> None:
        self.screen, self.training, self.log = screen, training, log
        self.start = self.first = 0.0

    def open(self, runner: Runner) -> None:
        """Say who learns what from whom."""
        self.screen.say(opening(runner, self.training, self.log))
        self.screen.begin(runner.max_iters)
        self.start, self.first = time.monotonic(), runner.iter

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: Optional[Dict[str, Any]] = None) -> None:
        """Show progress; the values are those that mmengine has already taken from the device."""
        done = runner.iter + 1
        self.screen.update(done, _epoch(runner, done), self._news(runner, done),
                           important=done == self.first + 1 and not self.screen.console.is_terminal)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                       outputs: Optional[Sequence] = None) -> None:
        """Show how far the validation is."""
        self.screen.update(runner.iter, _epoch(runner, runner.iter),
                           f'validating {batch_idx + 1}/{len(runner.val_dataloader)}')

    def after_val_epoch(self, runner: Runner, metrics: Optional[Dict[str, float]] = None) -> None:
        """Write the result."""
        self.screen.update(runner.iter, _epoch(runner, runner.iter),
                           self._news(runner, runner.iter), important=True)

    def _news(self, runner: Runner, done: int) -> str:
        latest = latest_values(runner)
        passed, steps = time.monotonic() - self.start, done - self.first
        # a resumed training may begin with a validation
        left = passed / steps * (runner.max_iters - done) if steps else 0
        parts = [f'{duration(left)} left'] if left else []
        return ', '.join(parts + [f'{name} {value}' for name, value in latest.items()])


class OpeningHook(Hook):
    """Opens the screen before other hooks act: a resumed training may begin with a validation.

    Args:
        progress (ProgressHook): Whose priority is the lowest, so that it tells
            of what the other hooks did.
    """
    priority = 'NORMAL'

    def __init__(self, progress: ProgressHook) -> None:
        self.progress = progress

    def before_train(self, runner: Runner) -> None:
        """Open it."""
        self.progress.open(runner)


def latest_values(runner: Runner) -> Dict[str, str]:
    """The metric, losses and the temperatures that can move, as last measured."""
    scalars = runner.message_hub.log_scalars
    metric = metric_of(runner)
    values = {metric.name: f'{metric.last:.3f}'} if metric else {}
    losses = {'loss': 'loss', **{name: short_name(name)
                                 for name in runner.cfg.model.get('distill_losses', {})}}
    taus = tau_names(runner)
    shown = {**losses, **{name: 'tau' if len(taus) == 1 else f'tau of {loss}'
                          for loss, name in taus.items()}}
    values.update({short: f'{scalars[f"train/{name}"].current():.3g}'
                   for name, short in shown.items() if f'train/{name}' in scalars})
    return values


def duration(seconds: float) -> str:
    """For example '1 h 05 min'."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f'{seconds:.0f} s'
    return f'{minutes // 60} h {minutes % 60:02} min' if minutes >= 60 else f'{minutes} min'


def _epoch(runner: Runner, done: int) -> str:
    epochs = epochs_of(runner)
    # not the runner's, which has changed by the time of the validation
    return f'epoch {max(1, -(-done * epochs // runner.max_iters))}/{epochs}' if epochs else ''
