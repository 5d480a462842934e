"""Finds the config and the checkpoint to export, and how they differ from what was trained."""
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, List, Optional, Tuple

import click

from ctkd_det.configs import comparable
from ctkd_det.work_dir import WorkDir, WorkDirError
from .plain_config import plain_config

# of the settings that are no dict; the other lists are variables of the file
LISTS = ('param_scheduler', 'custom_hooks', 'val_evaluator', 'test_evaluator')


@dataclass(frozen=True)
class Exportable:
    """What an export reads.

    Attributes:
        config: The distillation config.
        checkpoint: Of its training.
        name: What the exported files are called.
    """
    config: Path
    checkpoint: Path
    name: str


def find_exportable(source: Path, checkpoint: Optional[Path] = None,
                    last: bool = False) -> Exportable:
    """The config and checkpoint of a work directory, or those that are named.

    Args:
        source (Path): A work directory or a config.
        checkpoint (Path, optional): Must be given with a config.
        last (bool): Take the last checkpoint of a work directory even if it
            has a best one.

    Raises:
        click.ClickException: if the directory has no config or no checkpoint.
    """
    if source.is_file():
        return Exportable(source, checkpoint, source.stem)
    run = WorkDir(source)
    try:
        config = run.config_file
        run.config()  # a dumped config is data; another one, which would be executed, is refused
    except WorkDirError as error:
        raise click.ClickException(str(error)) from error
    checkpoint = checkpoint or (None if last else run.best_checkpoint) or run.last_checkpoint
    if checkpoint is None:
        raise click.ClickException(f'{source} holds no checkpoint: its training has saved none yet')
    return Exportable(config, checkpoint, run.config_name)


def differences(config: Path, checkpoint: Path) -> List[str]:
    """Settings in which a config differs from the one that the checkpoint was trained with.

    Returns:
        list[str]: Their names, for example ``test_dataloader.dataset.pipeline``;
        empty if there are none, or it is not known what was trained.
    """
    run = WorkDir(checkpoint.resolve().parent)
    try:
        trained = run.config_file
        run.config()
    except WorkDirError:
        return []
    if trained.parent == config.resolve().parent:
        return []  # a folder of pairs, as an export writes them: another one's config tells nothing
    ours, theirs = (comparable(plain_config(file).to_dict()) for file in (config, trained))
    # a dumped config has no base that would name the detector
    for cfg in (ours, theirs):
        cfg['model'].pop('type')
        # the command that trains leaves the name out, so that two trainings share no visualizer
        cfg.get('visualizer', {}).pop('name', None)
        for key in ('launcher', 'resume', 'load_from', 'work_dir', 'custom_imports'):
            cfg.pop(key, None)
    # variables of the file, such as data_root, are read where they are used
    keys = [key for key in ours if isinstance(ours[key], dict) or key in LISTS]
    return list(_differing({key: ours[key] for key in keys},
                           {key: theirs[key] for key in keys if key in theirs}))


def _differing(a: Any, b: Any, path: Tuple[str, ...] = ()) -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(key for key in b if key not in a)]:
            yield from _differing(a.get(key), b.get(key), (*path, str(key)))
    elif a != b:
        yield '.'.join(path)
