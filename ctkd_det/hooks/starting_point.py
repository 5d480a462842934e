"""Decides which checkpoint a training starts from, before the runner loads it."""
from pathlib import Path
from typing import List, NamedTuple, Optional

from mmengine.runner import Runner

from .checkpoint_files import CheckpointFolder, SavingError, fault


class Start(NamedTuple):
    """Where a training starts.

    Attributes:
        load: The checkpoint to load; None to leave it to the runner.
        replaced: Checkpoints of an earlier training in this folder. They are
            removed once the first new one is whole.
    """
    load: Optional[str]
    replaced: List[Path]


def starting_point(runner: Runner, folder: CheckpointFolder, overwrite: bool) -> Start:
    """Choose the checkpoint, and log what is skipped.

    Args:
        runner (Runner): Which resumes or not. If it resumes and there is
            no checkpoint, it starts from the beginning.
        folder (CheckpointFolder): Where its checkpoints go.
        overwrite (bool): Whether a new training may replace checkpoints.

    Raises:
        SavingError: if no checkpoint is whole, if the one that the user names
            is not, or if a new training would replace checkpoints and
            ``overwrite`` is False.
    """
    if not runner._resume:
        return Start(None, _replaced(folder, overwrite))
    if runner._load_from is not None:
        _check(str(runner._load_from))
        return Start(None, [])
    return Start(_newest(runner, folder), [])


def _replaced(folder: CheckpointFolder, overwrite: bool) -> List[Path]:
    files = folder.files()
    if files and not overwrite:
        raise SavingError(
            f'{folder.folder} has checkpoints of a training '
            f'({", ".join(path.name for path in files)}). To go on with it: --resume; to train '
            'elsewhere: another --work-dir; to begin anew and replace them: --cfg-options '
            'default_hooks.checkpoint.overwrite=True')
    return [*files, *folder.best()] if overwrite else []


def _check(named: str) -> None:
    reason = None if '://' in named else fault(Path(named))
    if reason:
        raise SavingError(f'cannot resume from {named}: it {reason}. --resume without a file '
                          'takes the newest whole one')


def _newest(runner: Runner, folder: CheckpointFolder) -> Optional[str]:
    choice = folder.choose()
    for path, reason in choice.skipped:
        runner.logger.warning(f'--resume skips {path}: it {reason}')
    for path in choice.newer:
        runner.logger.warning(f'--resume takes {choice.path}, which last_checkpoint was set '
                              f'to after {path.name} was written')
    if choice.path is None and choice.skipped:
        raise SavingError(
            f'--resume: no checkpoint in {folder.folder} is whole; '
            + '; '.join(f'{path.name} {reason}' for path, reason in choice.skipped)
            + '. To begin anew, give another --work-dir')
    if choice.path is None:
        runner.logger.warning(f'--resume: there is no checkpoint in {folder.folder}, '
                              'training begins anew')
        runner._resume = False
        return None
    return str(choice.path)
