"""Trains a config; the log goes to a file, the screen shows the progress."""
import contextlib
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Iterator, TextIO

import click
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ctkd_det.hooks.checkpoint_files import POINTER
from ..guards import guard, safe_checkpoints
from ..mistakes import is_interrupt, sentence
from ..options import merge, writing
from ..places import keep_config
from ..reading import TRAINED, check_parts, find_modules_beside, read_config
from . import Training, is_of_seed
from .data import OWN_DATA, look_at_data, missing_data
from .progress import OpeningHook, ProgressHook, Screen
from .result import Result, ending, stopped

LOG = 'console.log'


def run(training: Training, last: bool = True) -> Result:
    """Train, and say how it ended.

    Args:
        training (Training): What to train.
        last (bool): Whether to say what to do next. Defaults to True.

    Raises:
        click.ClickException: if the training fails; the traceback is in the
            log, or on the screen if the training is verbose. Also if the work
            directory cannot be written.
        click.exceptions.Exit: with status 130, after Ctrl-C.
    """
    cfg = configured(training)
    quiet = not training.verbose and training.launcher == 'none'
    log = Path(cfg.work_dir) / LOG
    screen, started, runner = Screen(), time.monotonic(), None
    file = None
    if quiet:
        with writing(log, '--work-dir'):
            log.parent.mkdir(parents=True, exist_ok=True)
            file = log.open('a', encoding='utf-8', buffering=1)
    try:
        with _into(file) if file else contextlib.nullcontext(), screen:
            if quiet:
                screen.say(f'Preparing {training.config} ...')
            runner = _runner(cfg)
            if quiet:
                runner.logger.addHandler(screen.warnings())
                progress = ProgressHook(screen, training, log)
                runner.register_hook(OpeningHook(progress))
                runner.register_hook(progress, 'LOWEST')
            runner.train()
    except (KeyboardInterrupt, Exception) as error:
        if is_interrupt(error):
            click.echo(stopped(training, Path(cfg.work_dir), runner), screen.out)
            raise click.exceptions.Exit(130) from None
        if not quiet:
            raise
        raise click.ClickException(f'{sentence(error)}{_kept_traceback(log)}') from error
    result = Result.of(runner, training, (time.monotonic() - started) / 60)
    if is_main_process():
        click.echo(ending(result, last), screen.out)
    return result


def configured(training: Training) -> Config:
    """The config as the options change it, the way MMDetection's ``train.py`` does.

    Raises:
        click.ClickException: if it cannot be read, or the options do not fit.
    """
    cfg = read_config(training.config)
    merge(cfg, training.cfg_options)
    cfg.launcher = training.launcher
    cfg.work_dir = work_dir_of(training, cfg)
    keep_config(training.config, cfg.work_dir)
    if cfg.get('visualizer'):
        # by the name that they share, a second training of this process would get the first one's
        cfg.visualizer.pop('name', None)
    check_parts(cfg, training.config, 'trains nothing', TRAINED)
    teacher = cfg.model.get('teacher_config')
    if isinstance(teacher, str) and Path(teacher).is_file():
        find_modules_beside(teacher)
    missing_file = missing_data(cfg)
    if missing_file:
        raise click.ClickException(f'{training.config}: {missing_file}{OWN_DATA}')
    look_at_data(cfg)
    guard(cfg)
    if training.amp:
        cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    if training.auto_scale_lr:
        if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
            raise click.ClickException('--auto-scale-lr: the config does not say for how many '
                                       'images its learning rate is (auto_scale_lr = '
                                       'dict(base_batch_size=...))')
        cfg.auto_scale_lr.enable = True
    if training.resume:
        if training.resume != 'auto' and not Path(training.resume).is_file():
            raise click.ClickException(f'--resume: there is no file {training.resume}')
        _resume(cfg, training.resume)
    return cfg


def _resume(cfg: Config, source: str) -> None:
    """Resume from the checkpoint ``source``, or from the last one of the work directory.

    A training that is started with ``--resume`` from the first on begins with the weights that its
    config names. MMEngine would take ``load_from`` for the checkpoint to resume.
    """
    if source != 'auto':
        cfg.resume, cfg.load_from = True, source
    elif not cfg.get('load_from') or _has_begun(cfg):
        cfg.resume, cfg.load_from = True, None


def _has_begun(cfg: Config) -> bool:
    """Whether the work directory names a checkpoint, or its hook finds one there."""
    folder = safe_checkpoints(cfg, cfg.work_dir)
    return Path(cfg.work_dir, POINTER).exists() or bool(folder and folder.files())


def work_dir_of(training: Training, cfg: Config) -> str:
    """The folder that a training writes to: of the command, of the config, or by its name."""
    return (training.work_dir or cfg.get('work_dir')
            or str(default_work_dir(training.config)))


def default_work_dir(config: Path) -> Path:
    """``work_dirs/NAME``; of a config in a folder ``seed_N``, ``work_dirs/seed_N/NAME``.

    The configs of several seeds have one name, so that the report joins them.
    """
    folder = config.absolute().parent.name
    return Path('work_dirs', folder if is_of_seed(config) else '', config.stem)


def _kept_traceback(log: Path) -> str:
    """Append the present traceback to the log, and say so; '' on a disk that is full."""
    try:
        with log.open('a', encoding='utf-8') as file:
            traceback.print_exc(file=file)
    except OSError:
        return ''
    return f'\n(the traceback is in {log})'


def _runner(cfg: Config) -> Runner:
    from mmdet.utils import setup_cache_size_limit_of_dynamo
    setup_cache_size_limit_of_dynamo()
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


@contextlib.contextmanager
def _into(file: TextIO) -> Iterator[None]:
    """Write what libraries print, and their tracebacks, into a file, and close it."""
    with file:
        file.write(f'$ {" ".join(sys.argv)}\n')
        with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
            try:
                yield
            finally:
                _forget(file)


def _forget(file: TextIO) -> None:
    """Let mmengine's loggers, which outlive the training, print where others do."""
    from mmengine.logging import MMLogger
    for logger in MMLogger._instance_dict.values():
        for handler in logger.handlers:
            stream: Any = getattr(handler, 'stream', None)
            if stream is file:
                handler.setStream(sys.__stdout__)
