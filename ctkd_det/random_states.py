"""Random states of a process and of its loader's workers."""
import random
import signal
from functools import partial
from typing import Any, Callable, Dict, Optional

import numpy as np
import torch
from torch.utils.data import DataLoader, get_worker_info

# the key under which a batch carries its worker's states to the main process
_KEY = 'random_states_of_worker'


def random_states() -> dict:
    """States of python, numpy and torch, of plain numbers and bytes."""
    numpy = np.random.get_state()
    states = dict(python=random.getstate(), numpy=(numpy[0], numpy[1].tobytes(), *numpy[2:]),
                  torch=torch.get_rng_state().numpy().tobytes())
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states['cuda'] = torch.cuda.get_rng_state().numpy().tobytes()
    return states


def restore(states: dict) -> None:
    """Restore the states that :func:`random_states` has returned."""
    version, numbers, gauss = states['python']
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = states['numpy']
    np.random.set_state((name, np.frombuffer(_bytes(keys), np.uint32), *rest))
    torch.set_rng_state(_tensor(states['torch']))
    if 'cuda' in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(_tensor(states['cuda']))


class LoaderStates:
    """Follows the random states of a loader's persistent workers.

    Workers that are started for each epoch have the same seeds in each epoch,
    so there is nothing to follow. Persistent workers keep their states: each
    batch contains the state that its worker had after making it.

    Args:
        loader (DataLoader): Its workers have not been started yet.
        states (dict, optional): States to start the workers with, the first
            time: a hook may end them and let others start.
    """

    def __init__(self, loader: DataLoader, states: Optional[Dict[int, dict]] = None) -> None:
        self.persistent = loader.num_workers > 0 and loader.persistent_workers
        self.workers: Dict[int, dict] = {}
        if len(states or {}) == loader.num_workers and self.persistent:
            self.workers = {int(worker): value for worker, value in states.items()}
        self.at_epochs_start = dict(self.workers)
        self._of_the_first = dict(self.workers)
        keep_workers_from_sigterm(loader, self._of_the_first)
        if self.persistent:
            loader.collate_fn = partial(_collate, collate=loader.collate_fn)

    def start_anew(self) -> None:
        """Forget the states: workers will start as those of a new training do."""
        for states in (self.workers, self.at_epochs_start, self._of_the_first):
            states.clear()

    def end_epoch(self) -> None:
        """Note the states at the end of an epoch."""
        self.at_epochs_start = dict(self.workers)

    def to_save(self) -> Dict[int, dict]:
        """The states with which the workers of a resumed run must start.

        Within an epoch these are the states at its start, because a resumed
        run makes the epoch's batches again (:class:`RestOfEpoch`).
        """
        return self.at_epochs_start

    def take_from(self, data_batch: Any) -> None:
        """Take the worker's states out of a batch."""
        if self.persistent and isinstance(data_batch, dict) and _KEY in data_batch:
            worker, states = data_batch.pop(_KEY)
            self.workers[worker] = states
            self._of_the_first.clear()  # all workers have started


def keep_workers_from_sigterm(loader: DataLoader,
                              states: Optional[Dict[int, dict]] = None) -> None:
    """Make a loader's workers ignore the first SIGTERM, which the main process handles.

    Args:
        loader (DataLoader): Its workers have not been started yet.
        states (dict, optional): Random states to start the workers with; what
            the dictionary holds when they start.
    """
    if loader.num_workers > 0:
        loader.worker_init_fn = partial(_start_worker, start=loader.worker_init_fn,
                                        states={} if states is None else states)


def as_saved(states: Any) -> Any:
    """Convert to types that restricted loading allows: bytes to tensors, tuples to lists."""
    if isinstance(states, dict):
        return {key: as_saved(item) for key, item in states.items()}
    if isinstance(states, (list, tuple)):
        return [as_saved(item) for item in states]
    return _tensor(states) if isinstance(states, bytes) else states


def _start_worker(worker_id: int, start: Optional[Callable], states: Dict[int, dict]) -> None:
    """In the worker: seed it, and ignore the first SIGTERM."""
    if start is not None:
        start(worker_id)
    if worker_id in states:
        restore(states[worker_id])
    # clusters send it to each process of a job, and a worker that dies ends the training at
    # once. The second one comes from the main process when it ends
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def _collate(batch: list, collate: Callable) -> Any:
    """In the worker: collate, and add its present random states."""
    data, worker = collate(batch), get_worker_info()
    if isinstance(data, dict) and worker is not None:
        data[_KEY] = (worker.id, random_states())
    return data


def _tensor(state: Any) -> torch.Tensor:
    return torch.frombuffer(bytearray(_bytes(state)), dtype=torch.uint8)


def _bytes(state: Any) -> bytes:
    return state.cpu().numpy().tobytes() if isinstance(state, torch.Tensor) else state
