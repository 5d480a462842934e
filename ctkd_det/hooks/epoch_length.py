"""Iterations of an epoch: of the present one, and of the one that a checkpoint was saved in."""
from mmengine.runner import EpochBasedTrainLoop, Runner

from .checkpoint_files import SavingError

# what a checkpoint calls it
_KEY = 'epoch_length'


def ends_epoch(runner: Runner) -> bool:
    """Whether the iteration that runs is the last one of an epoch; False where none is counted."""
    return isinstance(runner.train_loop, EpochBasedTrainLoop) and (
        runner.iter + 1 == (runner.epoch + 1) * len(runner.train_dataloader))


def batches_of_this_epoch(runner: Runner) -> int:
    """The number of batches of the present epoch that were trained on before."""
    length = len(runner.train_dataloader)
    done = runner.iter - runner.epoch * length
    return done if 0 < done < length else 0


def note_epoch_length(runner: Runner, checkpoint: dict) -> None:
    """Save with a checkpoint what :func:`count_in_new_epochs` reads."""
    checkpoint[_KEY] = len(runner.train_dataloader)


def count_in_new_epochs(runner: Runner, checkpoint: dict) -> None:
    """Convert a checkpoint's iteration to the length of this training's epochs.

    With another batch size or number of GPUs, an epoch has another number of
    iterations. Lambda, windows and the end of the training depend on the
    iteration. After the conversion, progress in epochs is the same. A second
    call changes nothing.

    Args:
        runner (Runner): Which resumes.
        checkpoint (dict): As loaded; its ``meta`` is changed.

    Raises:
        SavingError: if the iteration is none of the epoch, as in checkpoints
            of trainings that count no epochs.
    """
    meta = checkpoint.get('meta', {})
    epoch, iteration = meta.get('epoch'), meta.get('iter')
    # a first epoch of unknown length may have any iteration
    known = epoch or _KEY in checkpoint
    if not isinstance(runner.train_loop, EpochBasedTrainLoop) or not known or None in (
            epoch, iteration):
        return
    new = len(runner.train_dataloader)
    # checkpoints of other hooks were saved at the end of an epoch
    old = checkpoint.get(_KEY) or iteration / epoch
    if not round(epoch * old) <= iteration <= round((epoch + 1) * old):
        raise SavingError(
            f'{runner._load_from} cannot be resumed: it is of iteration {iteration} after {epoch} '
            f'epochs of {old:g} iterations, as of a training that counts no epochs, and this one '
            'does. Resume it with its own train_cfg; to begin a new training with its weights: '
            'load_from')
    checkpoint[_KEY] = new
    if old == new:
        return
    # one within an epoch does not become the end of that epoch
    meta['iter'] = min(round(iteration / old * new), (epoch + 1) * new - 1)
    runner.logger.warning(
        f'Resumed with another batch size or number of GPUs: an epoch had {old:g} iterations, it '
        f'has {new} now. Training goes on after {iteration / old:g} epochs, as iteration '
        f'{meta["iter"]} instead of {iteration}; lambda and windows follow. The learning rate and '
        'its schedule are those of the checkpoint: schedules that count iterations go on with the '
        'old count, and the learning rate is not scaled. For others, begin a new training with '
        'load_from.')
