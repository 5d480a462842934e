"""``ctkd-det train``: MMDetection's training, with one screen instead of a thousand lines."""
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, List, Optional, Sequence

import click

from ..options import FILE, LAUNCHERS, Command, cfg_options
from ..places import load_package


@dataclass(frozen=True)
class Training:
    """What the options of MMDetection's ``train.py`` say.

    Attributes:
        config: The config file.
        work_dir: Where to write; None for the config's, or that of
            :func:`default_work_dir`.
        resume: A checkpoint; 'auto' for the last one in the work directory.
        amp: Whether with mixed precision.
        auto_scale_lr: Whether to scale the learning rate with the batch.
        cfg_options: Overrides of the config, ``key=value``.
        launcher: Of distributed trainings.
        verbose: Whether to print all that MMEngine logs.
        part_of: The words of the command that trains this and more; empty if
            it is one of its own.
    """
    config: Path
    work_dir: Optional[str] = None
    resume: Optional[str] = None
    amp: bool = False
    auto_scale_lr: bool = False
    cfg_options: Sequence[str] = ()
    launcher: str = 'none'
    verbose: bool = False
    part_of: Sequence[str] = ()

    def command(self, resume: Optional[str] = None) -> str:
        """The command line that trains this."""
        resume = resume or self.resume
        words: List[str] = ['ctkd-det', 'train', str(self.config)]
        words += ['--work-dir', self.work_dir] if self.work_dir else []
        words += [] if not resume else ['--resume'] if resume == 'auto' else ['--resume', resume]
        words += ['--amp'] * self.amp + ['--auto-scale-lr'] * self.auto_scale_lr
        words += ['--cfg-options', *self.cfg_options] if self.cfg_options else []
        words += ['--launcher', self.launcher] if self.launcher != 'none' else []
        return shlex.join(words + ['--verbose'] * self.verbose)

    def again(self, resume: Optional[str] = None) -> str:
        """The command line to give after it was stopped: the whole one, if it was part of one.

        That is resumed in any case: the training before this one has checkpoints.
        """
        if not self.part_of:
            return self.command(resume)
        return shlex.join([*self.part_of, *['--resume'] * ('--resume' not in self.part_of)])


def is_of_seed(config: Path) -> bool:
    """Whether a config lies in a folder ``seed_N``."""
    return bool(re.fullmatch(r'seed_\d+', config.absolute().parent.name))


def training_options(command: Callable) -> Callable:
    """Add the options of a training, other than where it writes, to a command."""
    for option in reversed((
            click.option('--resume', is_flag=False, flag_value='auto', metavar='[FILE]',
                         help='resume from this checkpoint; without FILE from the last one in the '
                         'work directory'),
            click.option('--amp', is_flag=True, help='mixed precision'),
            click.option('--auto-scale-lr', is_flag=True,
                         help='scale the learning rate to the number of images in a step'),
            cfg_options,
            click.option('--launcher', type=LAUNCHERS, default='none', show_default=True,
                         help='launcher of a distributed training'),
            click.option('--verbose', is_flag=True, help='print all that MMEngine logs'))):
        command = option(command)
    return command


@click.command(cls=Command)
@click.argument('config', type=FILE)
@click.option('--work-dir', type=click.Path(file_okay=False),
              help="folder to write to  [default: the config's, or work_dirs/NAME_OF_CONFIG; for a "
              'config in seed_N/ work_dirs/seed_N/NAME_OF_CONFIG]')
@training_options
def train(config: Path, **options: Any) -> None:
    """Train a config.

    The training and its files are those of MMDetection's train.py. The screen
    shows what is trained, the progress and the result; all the rest goes to
    console.log in the work directory.

    \b
    ctkd-det train my_config.py
    ctkd-det train my_config.py --work-dir work_dirs/mine --resume
    ctkd-det train my_config.py --cfg-options train_dataloader.batch_size=4
    """
    training = Training(config, **options)
    load_package()
    from .run import run
    run(training)
