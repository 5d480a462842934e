"""What the options of several commands have in common."""
import argparse
import contextlib
import difflib
from pathlib import Path
from typing import Any, Iterator, List, Optional, Sequence

import click

from .places import load_package

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
# where a command's context keeps the words that it was given
GIVEN = 'ctkd_det.given'
LAUNCHERS = click.Choice(['none', 'pytorch', 'slurm', 'mpi'])


class KeyValue(click.ParamType):
    """One override of a config."""
    name = 'key=value'

    def convert(self, value: str, param: Optional[click.Parameter],
                ctx: Optional[click.Context]) -> str:
        """The value, or an error that says what it should be."""
        if '=' not in value.lstrip('='):
            self.fail(f'{value!r} is not of the form KEY=VALUE', param, ctx)
        return value


class Command(click.Command):
    """A command whose ``--cfg-options`` takes several pairs, as in MMDetection's tools."""

    def parse_args(self, ctx: click.Context, args: List[str]) -> List[str]:
        """Split the values of ``--cfg-options`` first."""
        ctx.meta[GIVEN] = list(args)
        return super().parse_args(ctx, _one_pair_each(args))


def _one_pair_each(args: Sequence[str]) -> List[str]:
    """``--cfg-options a=1 b=2`` as click understands it: the option once for each pair."""
    spread: List[str] = []
    in_pairs = False
    for arg in args:
        is_pair = '=' in arg and not arg.startswith('-')
        if in_pairs and is_pair and spread[-1] != '--cfg-options':
            spread.append('--cfg-options')
        in_pairs = arg == '--cfg-options' or in_pairs and is_pair
        spread.append(arg)
    return spread


cfg_options = click.option(
    '--cfg-options', multiple=True, type=KeyValue(), metavar='KEY=VALUE...',
    help='override settings of the config, as in train_dataloader.num_workers=4')


@contextlib.contextmanager
def writing(path: Path, option: str) -> Iterator[None]:
    """Say which option to change if a file or folder cannot be written.

    Raises:
        click.ClickException: if it cannot.
    """
    try:
        yield
    except OSError as error:
        # those of write_whole have no strerror, and name file and reason themselves
        said = f'{path} cannot be written ({error.strerror})' if error.strerror else error
        raise click.ClickException(f'{said}: give another {option}') from error


def parsed(pairs: Sequence[str]) -> dict:
    """Values of ``--cfg-options`` as MMDetection's tools read them.

    Raises:
        click.ClickException: if a value has unbalanced brackets, or the
            installed packages do not work together.
    """
    load_package()  # so that mmengine keeps spaces
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    try:
        return parser.parse_args(['--cfg-options', *pairs] if pairs else []).cfg_options
    except AssertionError as error:
        raise click.ClickException(f'--cfg-options: {error}') from error


def merge(cfg: Any, pairs: Sequence[str]) -> None:
    """Merge overrides into a Config.

    Raises:
        click.ClickException: if a key leads through something that has no
            keys, or is probably misspelt.
    """
    values = parsed(pairs)
    for key in values:
        _check_spelling(cfg, key)
    try:
        cfg.merge_from_dict(values)
    except (TypeError, KeyError, IndexError, AssertionError) as error:
        raise click.ClickException(f'--cfg-options cannot be merged into the config: {error}'
                                   ) from error


def _check_spelling(cfg: Any, key: str) -> None:
    """Refuse a new key that looks like an existing one beside it: a training would ignore it."""
    level, path = cfg, []
    for part in key.split('.'):
        if not hasattr(level, 'keys'):
            return  # a list, whose parts are numbers, or a value: merging says what is wrong
        if part not in level:
            names = [str(name) for name in level]
            close = difflib.get_close_matches(part, names, n=1, cutoff=0.85)
            if close:
                raise click.ClickException(
                    f'--cfg-options: the config has no {key}; did you mean '
                    f'{".".join([*path, close[0]])}?')
            return
        level, path = level[part], [*path, part]
