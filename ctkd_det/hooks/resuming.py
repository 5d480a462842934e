"""Resumes the data loading where a training was interrupted."""
from typing import Any, Callable, Iterator

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from ..random_states import LoaderStates
from .checkpoint_files import SavingError

# in the message hub: where the model was that was validated before its checkpoint was saved again;
# mmengine's log repeats what begins with 'val'
VALIDATED = 'saved_with_validation'


class RestOfEpoch:
    """A loader that skips the batches that were trained on before.

    The skipped batches are made and dropped, so that the workers reach the
    same random states. It replaces the loader until the first new batch.

    Args:
        loop (EpochBasedTrainLoop): Whose loader it stands in for.
        states (LoaderStates): Of the loader's workers.
        skip (int): Number of batches.
        restore (Callable): Brings this process's random states back.
    """

    def __init__(self, loop: EpochBasedTrainLoop, states: LoaderStates, skip: int,
                 restore: Callable[[], None]) -> None:
        self.loop, self.loader = loop, loop.dataloader
        self.states, self.skip, self.restore = states, skip, restore
        loop.dataloader = self

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def __iter__(self) -> Iterator:
        # starting a loader uses a random number; workers that go on are not started
        at_once = self.skip == 0 and not self.states.workers
        if at_once:
            self.restore()
        batches = iter(self.loader)
        for _ in range(self.skip):
            self.states.take_from(next(batches))
        if not at_once:
            self.restore()
        self.loop.dataloader = self.loader
        yield from batches


class RestOfTraining:
    """The batches of an iteration-based loop, which itself skips the old ones.

    Args:
        loop (IterBasedTrainLoop): Whose iterator it replaces.
        restore (Callable): Brings this process's random states back.
    """

    def __init__(self, loop: IterBasedTrainLoop, restore: Callable[[], None]) -> None:
        self.batches, self.left, self.restore = loop.dataloader_iterator, loop.iter, restore
        loop.dataloader_iterator = self

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        if self.left == 0:
            self.restore()
        self.left -= 1
        return next(self.batches)

    def skip_iter(self, number: int) -> None:
        """Skip batches, for onedl-mmengine's loop.

        Each batch is loaded. The fork's own way makes a new iterator, which
        would draw from the random state that is restored here.
        """
        for _ in range(number):
            next(self)


def batches_of_this_epoch(runner: Runner) -> int:
    """The number of batches of the present epoch that were trained on before."""
    length = len(runner.train_dataloader)
    done = runner.iter - runner.epoch * length
    return done if 0 < done < length else 0


def validate_if_due(runner: Runner) -> None:
    """Validate a resumed model if its epoch was saved but not validated.

    A checkpoint is saved before its epoch is validated, and does not contain
    the result. Without this validation the score would be missing, and a
    later, worse checkpoint could become the best one. A checkpoint that was
    saved again, with the score of the new best one, does contain it: twice
    would be too often for ``ReduceOnPlateauLR``.
    """
    loop = runner.train_loop
    if isinstance(loop, EpochBasedTrainLoop):
        unit, done, end = 'epoch', runner.epoch, runner.max_epochs
        complete = runner.iter == done * len(runner.train_dataloader)
    elif isinstance(loop, IterBasedTrainLoop):
        unit, done, end, complete = 'iter', runner.iter, runner.max_iters, True
    else:
        return
    if runner.val_loop is None or not complete or done < max(loop.val_begin, 1):
        return
    validated = runner.message_hub.get_info(VALIDATED)
    if isinstance(validated, dict) and validated.get(unit) == done:
        return
    loop._decide_current_val_interval()
    if done % loop.val_interval == 0 or done == end:
        runner.val_loop.run()


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
    known = epoch or 'epoch_length' in checkpoint
    if not isinstance(runner.train_loop, EpochBasedTrainLoop) or not known or None in (
            epoch, iteration):
        return
    new = len(runner.train_dataloader)
    # checkpoints of other hooks were saved at the end of an epoch
    old = checkpoint.get('epoch_length') or iteration / epoch
    if not round(epoch * old) <= iteration <= round((epoch + 1) * old):
        raise SavingError(
            f'{runner._load_from} cannot be resumed: it is of iteration {iteration} after {epoch} '
            f'epochs of {old:g} iterations, as of a training that counts no epochs, and this one '
            'does. Resume it with its own train_cfg; to begin a new training with its weights: '
            'load_from')
    checkpoint['epoch_length'] = new
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
