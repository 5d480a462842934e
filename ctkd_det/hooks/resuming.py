"""Resumes the data loading where a training was interrupted."""
from typing import Any, Callable, Iterator

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from ..random_states import LoaderStates


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
