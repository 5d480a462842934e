"""Sets a loader to the seed of the run that is resumed, and ends its workers.

mmengine builds the loader, and an iteration-based loop starts its workers,
before a checkpoint is read and before any hook can prepare them.
"""
import atexit
import weakref
from functools import partial
from multiprocessing.util import Finalize
from typing import Any, Optional

from mmdet.registry import DATA_SAMPLERS
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from ..random_states import random_states, restore


def seed_of_sampler(loader: DataLoader) -> Optional[int]:
    """The seed of the image order; None if the sampler has none."""
    seed = getattr(_sampler(loader), 'seed', None)
    return None if seed is None else int(seed)


def seed_as_before(runner: Runner, sampler_seed: Optional[int]) -> None:
    """Set the seeds of the resumed run for the order and the augmentation of images.

    Without a seed in the config, each process draws a new one when it starts,
    and the loader was built with that. Seeds that the config gives to the
    sampler or to the workers stay. Call it before the workers start.

    Args:
        runner (Runner): Its ``seed`` is that of the resumed run already.
        sampler_seed (int, optional): The resumed run's; None if unknown.
    """
    loader, config = runner.train_dataloader, runner._train_dataloader
    if not _is_built_here(config):
        return
    start = loader.worker_init_fn
    if isinstance(start, partial) and 'worker_init_fn' not in config:
        loader.worker_init_fn = partial(start, seed=runner.seed)
    if sampler_seed is None and not runner._randomness_cfg.get('diff_rank_seed'):
        sampler_seed = runner.seed
    if sampler_seed is not None and sampler_seed != seed_of_sampler(loader):
        _renew_samplers(runner, sampler_seed)


def start_workers_again(runner: Runner) -> None:
    """Restart an iteration-based loop's workers with the loader's present settings.

    The first workers have taken images from the sampler already, so the
    sampler starts again. No random number of this process is used up.
    """
    loop = runner.train_loop
    loader = loop.dataloader
    if not isinstance(loop, IterBasedTrainLoop) or not _is_built_here(runner._train_dataloader):
        return
    states = random_states()
    kind = type(loop.dataloader_iterator)
    # this ends the old workers
    loop.dataloader_iterator = loader._iterator = None
    _renew_samplers(runner, seed_of_sampler(loader))
    loop.dataloader_iterator = kind(loader)
    restore(states)


def switches(runner: Runner) -> int:
    """How many hooks have switched the pipeline of the training images.

    ``PipelineSwitchHook`` and ``YOLOXModeSwitchHook`` end persistent workers to
    do so, and do it at the first chance after a resume, too.
    """
    return sum(getattr(hook, '_has_switched', False) for hook in runner.hooks)


def start_anew(runner: Runner, before: Optional[int]) -> bool:
    """Whether the workers of the epoch that begins start anew in an uninterrupted run.

    Args:
        runner (Runner): Its other hooks have begun the epoch.
        before (int, optional): What :func:`switches` was when the checkpoint
            was saved, if this is a resumed run's first epoch.
    """
    if before is not None:
        return switches(runner) > before
    return getattr(runner.train_dataloader, '_iterator', None) is None


def end_workers(runner: Runner) -> None:
    """End workers that are still alive after the loop.

    The interpreter would send them SIGTERM. A worker ignores the first one,
    and torch may report it as an error.
    """
    loop = runner.train_loop
    # after a resume it is inside another iterator
    around = getattr(loop, 'dataloader_iterator', None)
    around = getattr(around, 'batches', around)
    iterators = [getattr(around, '_iterator', None), runner.train_dataloader._iterator]
    if runner.val_loop is not None:
        iterators.append(runner.val_dataloader._iterator)
    for iterator in iterators:
        if hasattr(iterator, '_shutdown_workers'):
            iterator._shutdown_workers()


def end_workers_at_exit(runner: Runner) -> None:
    """Call :func:`end_workers` when the process ends, unless the runner is gone by then.

    Otherwise torch waits for each worker for seconds, in an ``atexit`` function
    that runs after this one. A child of ``multiprocessing`` does not run such
    functions. It runs its finalizers, then waits for its own children forever.
    """
    alive = weakref.ref(runner)

    def end() -> None:
        atexit.unregister(end)
        if alive() is not None:
            end_workers(alive())

    atexit.register(end)
    # before the queues are closed (10), by which the workers are told; also when the runner is gone
    Finalize(runner, end, exitpriority=100)


def _renew_samplers(runner: Runner, seed: Optional[int]) -> None:
    """Reset the samplers in place, because a loader does not allow to replace them."""
    loader, config = runner.train_dataloader, runner._train_dataloader
    sampler = _sampler(loader)
    vars(sampler).update(vars(DATA_SAMPLERS.build(
        config['sampler'], default_args=dict(dataset=loader.dataset, seed=seed))))
    if config.get('batch_sampler') is not None:
        vars(loader.batch_sampler).update(vars(DATA_SAMPLERS.build(
            config['batch_sampler'],
            default_args=dict(sampler=sampler, batch_size=config.get('batch_size')))))


def _is_built_here(config: Any) -> bool:
    """Whether mmengine built the loader and its samplers, and not the user."""
    return isinstance(config, dict) and all(
        isinstance(config.get(key) or {}, dict) for key in ('sampler', 'batch_sampler'))


def _sampler(loader: DataLoader) -> object:
    return getattr(loader.batch_sampler, 'sampler', loader.sampler)
