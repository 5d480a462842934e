"""Resumes the data loading where a training was interrupted."""
from typing import Any, Callable, Iterator

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from ..random_states import LoaderStates


class RestOfEpoch:
    """A loader that passes over the batches that were trained on before.

    The batches are made and dropped, so that workers get into the states that
    they had. It stands in for the loader until its first batch is there.

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
        # to start a loader takes a random number; of one whose workers go on it did not
        at_once = self.skip == 0 and not self.states.persistent
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
    """The batches of an iteration-based loop, which itself passes over the old ones.

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
        """Pass over batches, for onedl-mmengine's loop.

        Each is loaded: its own way forgets the iterator, and a new one draws
        from the random state that is restored here.
        """
        for _ in range(number):
            next(self)


def batches_of_this_epoch(runner: Runner) -> int:
    """How many batches of the present epoch were trained on before."""
    length = len(runner.train_dataloader)
    done = runner.iter - runner.epoch * length
    return done if 0 < done < length else 0


def validate_if_due(runner: Runner) -> None:
    """Validate a resumed model where the loop would have done so after the saving.

    A checkpoint is saved before its epoch is validated, and knows nothing of
    that. Without it the score would be missing, and a later, worse checkpoint
    would be called the best.
    """
    loop = runner.train_loop
    if isinstance(loop, EpochBasedTrainLoop):
        done, end = runner.epoch, runner.max_epochs
        complete = runner.iter == done * len(runner.train_dataloader)
    elif isinstance(loop, IterBasedTrainLoop):
        done, end, complete = runner.iter, runner.max_iters, True
    else:
        return
    if runner.val_loop is None or not complete or done < max(loop.val_begin, 1):
        return
    loop._decide_current_val_interval()
    if done % loop.val_interval == 0 or done == end:
        runner.val_loop.run()


def count_in_new_epochs(runner: Runner, checkpoint: dict) -> None:
    """Let the iterations of a checkpoint be those of this training's epochs.

    With another batch size or number of GPUs an epoch has another number of
    iterations. Lambda, windows and the end of the training are functions of
    the iteration, so the checkpoint's is converted: progress by epochs goes
    on. Doing it again changes nothing.

    Args:
        runner (Runner): Which resumes.
        checkpoint (dict): As loaded; its ``meta`` is changed.
    """
    meta = checkpoint.get('meta', {})
    epoch, iteration = meta.get('epoch'), meta.get('iter')
    if not isinstance(runner.train_loop, EpochBasedTrainLoop) or not epoch and (
            'epoch_length' not in checkpoint):
        return
    new = len(runner.train_dataloader)
    # other hooks' checkpoints are from the ends of epochs
    old = checkpoint.get('epoch_length') or iteration / epoch
    checkpoint['epoch_length'] = new
    if old == new:
        return
    meta['iter'] = round(iteration / old * new)
    runner.logger.warning(
        f'Resumed with another batch size or number of GPUs: an epoch had {old:g} iterations, it '
        f'has {new} now. Training goes on after {iteration / old:g} epochs, as iteration '
        f'{meta["iter"]} instead of {iteration}; lambda and windows follow. Learning rate '
        'schedules that count iterations go on with the old count, and the learning rate is not '
        'scaled: set both for the new batch size.')
