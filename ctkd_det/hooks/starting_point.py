"""Decides which checkpoint a training starts from, before the runner loads it."""
from pathlib import Path
from typing import List, NamedTuple, Optional

from mmengine.dist import broadcast_object_list
from mmengine.runner import Runner

from .checkpoint_files import CheckpointFolder, SavingError, fault
from .validations import VALIDATED


class Start(NamedTuple):
    """Where a training starts.

    Attributes:
        load: The checkpoint to load; None to leave it to the runner.
        replaced: Checkpoints of an earlier training in this folder, or of the
            part of it that is left behind. They are removed once the first new
            one is whole.
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
        return Start(None, _best_ones_beyond(runner, folder))
    return Start(_newest(runner, folder), [])


def refuse_to_replace(folder: CheckpointFolder, overwrite: bool) -> None:
    """Raise SavingError if a new training would replace checkpoints unasked."""
    files = folder.files()
    if files and not overwrite:
        raise SavingError(
            f'{folder.folder} has checkpoints of a training '
            f'({", ".join(path.name for path in files)}). To go on with it: --resume; to train '
            'elsewhere: another --work-dir; to begin anew and replace them: --cfg-options '
            'default_hooks.checkpoint.overwrite=True')


def _replaced(folder: CheckpointFolder, overwrite: bool) -> List[Path]:
    refuse_to_replace(folder, overwrite)
    return [*folder.files(), *folder.best()] if overwrite else []


def _check(named: str) -> None:
    reason = None if '://' in named else fault(Path(named))
    if reason:
        raise SavingError(f'cannot resume from {named}: it {reason}. --resume without a file '
                          'takes the newest whole one')


def _best_ones_beyond(runner: Runner, folder: CheckpointFolder) -> List[Path]:
    """The best checkpoints that came after the one that the user names: the new ones may differ."""
    named = Path(str(runner._load_from))
    progress = folder.progress(named) if named.resolve().parent == folder.folder.resolve() else ()
    beyond = [path for path in folder.best() if progress and folder.number(path) > progress[0]]
    for path in beyond:
        runner.logger.warning(f'--resume {named}: {path.name} came after it, and is removed once '
                              'the first new checkpoint is written')
    return beyond


def forget_lost_best(runner: Runner, folder: CheckpointFolder) -> None:
    """Forget the score of a best checkpoint that is not there any more.

    It was removed for a better one, which is left behind with a resume from an
    older checkpoint. Otherwise nothing worse would be kept as the best one.

    Args:
        runner (Runner): Whose message hub has the score, from the checkpoint.
        folder (CheckpointFolder): Where its checkpoints go.
    """
    known = runner.message_hub.runtime_info
    lost = [[name for name, path in known.items() if name.startswith('best_ckpt') and not any(
        file.exists() for file in (Path(str(path)), folder.folder / Path(str(path)).name))]]
    broadcast_object_list(lost)  # all ranks save the next best one, or none
    for name in lost[0]:
        runner.logger.warning(f'The best checkpoint so far, {known.pop(name)}, is not there: the '
                              'next validation is the best one')
        known.pop(name.replace('best_ckpt', 'best_score'), None)
        known.pop(VALIDATED, None)  # the checkpoint that is resumed may be the best one now


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
