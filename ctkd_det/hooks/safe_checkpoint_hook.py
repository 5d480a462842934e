"""Checkpoints that survive a crash, and bring a training back to the last bit."""
from pathlib import Path
from typing import IO, Any, List, Optional

from mmdet.registry import HOOKS
from mmengine.dist import all_gather_object, broadcast_object_list, get_world_size, is_main_process
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from ..random_states import (
    LoaderStates,
    as_saved,
    keep_workers_from_sigterm,
    random_states,
    restore,
)
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .checkpoint_files import INTERRUPTED, SavingError, remove
from .epoch_length import (
    batches_of_this_epoch,
    count_in_new_epochs,
    ends_epoch,
    note_epoch_length,
)
from .folder_lock import lock
from .loaders import (
    end_workers,
    end_workers_at_exit,
    seed_as_before,
    seed_of_sampler,
    start_anew,
    start_workers_again,
    switches,
)
from .own_states import own_states, restore_own_states
from .resumable import check_resumable, warn_of_missing_weights
from .resumed_settings import warn_of_other_settings
from .resuming import RestOfEpoch, RestOfTraining
from .saved_values import leave_values_only
from .starting_point import starting_point
from .termination import Termination, end_process
from .validations import validate_if_due


@HOOKS.register_module()
class SafeCheckpointHook(AtomicCheckpointHook):
    """mmengine's ``CheckpointHook``, whose files survive a crash at any moment.

    Use it instead: ``default_hooks=dict(checkpoint=dict(
    type='SafeCheckpointHook'))``.

    - A checkpoint is written under another name, synced and renamed, with a
      checksum beside it; then ``last_checkpoint`` names it; then old ones
      are removed.
    - ``--resume`` takes the newest whole one and logs which ones it skipped,
      and why. Without ``last_checkpoint`` it looks for the files.
    - A training does not start again from the beginning in a folder that has
      checkpoints, unless ``overwrite`` is True, nor while another process
      trains there.
    - The random states of all ranks and workers, and draws and queues of each
      rank's losses, are saved and restored, and validation leaves them as they
      were. A resumed training is the uninterrupted one, to the last bit where
      the kernels are deterministic.
    - After SIGTERM, also if the workers get it, too, the hook saves a
      checkpoint and ends the training with exit status 143. A resume
      continues within the epoch. Several ranks agree on the end every 10
      iterations.

    Args:
        *args: See :class:`mmengine.hooks.CheckpointHook`.
        overwrite (bool): Whether a new training may replace the checkpoints
            in its folder. They are removed once the first new one is whole.
            Defaults to False.
        **kwargs: See :class:`mmengine.hooks.CheckpointHook`.

    Raises:
        SavingError: while training, if a checkpoint cannot be written (the
            old one stays); before training, if no checkpoint is whole to
            resume from, there are checkpoints and ``overwrite`` is False, or
            another process trains in this folder.
    """

    def __init__(self, *args: Any, overwrite: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.overwrite = overwrite
        self._termination = Termination()
        self._decided = self._training = self._goes_on = False
        self._lock: Optional[IO[str]] = None
        self._replaced: List[Path] = []
        # random states of all ranks, to be saved
        self._ranks: List[dict] = []
        # those of this rank, as they were saved
        self._own: dict = {}
        self._saves_after_epoch = False
        self._sampler_seed: Optional[int] = None
        self._before_val: Optional[dict] = None

    def before_run(self, runner: Runner) -> None:
        """Decide what to resume from, before the runner loads it.

        Raises:
            SavingError: see :func:`lock` and :func:`starting_point`.
        """
        training = isinstance(runner._train_loop, BaseLoop)
        if self._decided or not training or runner._has_loaded or not self.is_local(runner):
            return
        self._decided = True
        decision: List[Optional[str]] = [None, None]
        if is_main_process():
            try:
                self._lock = lock(self.folder(runner).folder)
                decision[0], self._replaced = starting_point(
                    runner, self.folder(runner), self.overwrite)
            except SavingError as error:
                decision[1] = str(error)
        broadcast_object_list(decision)  # all ranks go on, or all end
        if decision[1]:
            raise SavingError(decision[1])
        if decision[0]:
            runner._load_from = decision[0]

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read the random states of the run that is resumed, or look at the weights to begin with.

        Raises:
            SavingError: if the checkpoint has weights only.
        """
        if not runner._resume:
            if isinstance(runner._train_loop, BaseLoop):  # not before a test
                warn_of_missing_weights(runner, checkpoint)
            return
        check_resumable(runner, checkpoint, self.save_optimizer)
        warn_of_other_settings(runner, checkpoint)
        self._goes_on = True
        self._sampler_seed = checkpoint.get('sampler_seed')
        count_in_new_epochs(runner, checkpoint)
        ranks = checkpoint.get('random_states', [])
        if len(ranks) == get_world_size():
            self._own = ranks[runner.rank]
        else:
            runner.logger.warning(
                f'The checkpoint has the random states of {len(ranks)} processes, these are '
                f'{get_world_size()}: what is drawn at random is not what it would have been')

    def before_train(self, runner: Runner) -> None:
        """Follow the loader's workers, watch for SIGTERM, and make a missed validation."""
        super().before_train(runner)
        self._training = True
        if self._goes_on:
            seed_as_before(runner, self._sampler_seed)
        self._loader = LoaderStates(runner.train_dataloader, self._own.get('workers'))
        start_workers_again(runner)
        end_workers_at_exit(runner)
        if runner.val_loop is not None:
            keep_workers_from_sigterm(runner.val_dataloader)
        self._termination.watch()
        if self._goes_on:
            restore_own_states(runner, self._own.get('losses', {}))
            validate_if_due(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Continue in the data where the resumed run was interrupted."""
        before = self._own.get('switches', switches(runner)) if self._goes_on else None
        if start_anew(runner, before):
            self._loader.start_anew()
        if not self._goes_on:
            return
        self._goes_on, loop = False, runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            RestOfTraining(loop, self._restore)
        elif isinstance(loop, EpochBasedTrainLoop):
            skip = batches_of_this_epoch(runner)
            if skip:
                runner.logger.info(f'Passing over the {skip} batches of this epoch that were '
                                   'trained on before')
            RestOfEpoch(loop, self._loader, skip, self._restore)

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: DATA_BATCH = None) -> None:
        """Note the random state of the worker that made the batch."""
        self._loader.take_from(data_batch)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        """Save if it is due, and end after SIGTERM."""
        before = self.last_ckpt
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        if ends_epoch(runner):
            return  # after_train_epoch is next
        if self._termination.agreed(runner.iter):
            if self.last_ckpt == before and self.by_epoch:
                epoch, done = runner.epoch, runner.iter + 1
                self.save_to_resume(runner, INTERRUPTED.format(epoch, done),
                                    dict(epoch=epoch, iter=done))
            elif self.last_ckpt == before:
                self._save_checkpoint(runner)  # one as any other, which makes room later on
            self._end(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Save if it is due, and end after SIGTERM."""
        self._loader.end_epoch()
        before = self.last_ckpt
        super().after_train_epoch(runner)
        if self._saves_after_epoch:
            self._saves_after_epoch = False
            self._save_checkpoint_with_step(
                runner, runner.iter, dict(epoch=runner.epoch + 1, iter=runner.iter))
        if self.by_epoch and self._termination.agreed(0):
            if self.last_ckpt == before:
                self._save_checkpoint(runner)
            self._end(runner)

    def _save_checkpoint(self, runner: Runner) -> None:
        """Save now, or after the epoch whose last iteration this is.

        Before that its schedulers have not stepped, and a resume would train
        on the epoch once more.
        """
        if not self.by_epoch and ends_epoch(runner):
            self._saves_after_epoch = True
        else:
            super()._save_checkpoint(runner)

    def before_val(self, runner: Runner) -> None:
        """Keep the random states with which training continues after the validation."""
        if self._training:
            self._before_val = random_states()

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None,
                       outputs: Any = None) -> None:
        """End after SIGTERM if this epoch is saved. Several ranks may be at different batches."""
        name = self.filename_tmpl.format(runner.epoch if self.by_epoch else runner.iter)
        saved = Path(self.last_saved(runner)).name == name
        if self._training and saved and get_world_size() == 1 and self._termination.requested:
            self._end(runner)

    def after_val_epoch(self, runner: Runner, metrics: Optional[dict] = None) -> None:
        """Restore the training's random states, and save a checkpoint that is the best."""
        if self._before_val is not None:
            restore(self._before_val)
        super().after_val_epoch(runner, metrics)

    def after_train(self, runner: Runner) -> None:
        """Publish a checkpoint if that is configured, and stop watching."""
        super().after_train(runner)
        self._training, self._before_val = False, None
        self._termination.stop_watching()
        if self._lock is not None:
            self._lock.close()

    def save(self, runner: Runner, name: str, **options: Any) -> None:
        """Save with the random states of all ranks."""
        own = dict(process=random_states(), workers=self._loader.to_save(),
                   losses=own_states(runner), switches=switches(runner))
        self._ranks = all_gather_object(own)
        super().save(runner, name, **options)
        # it has taken the place of an older one
        self._replaced = [path for path in self._replaced if path.name != name]

    def save_to_resume(self, runner: Runner, name: str, meta: dict) -> None:
        """Save, then remove the checkpoints of a training that this one replaces."""
        super().save_to_resume(runner, name, meta)
        for path in self._replaced:
            remove(path)
        self._replaced = []

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the random states to what a run can be resumed from, and leave values only."""
        leave_values_only(checkpoint)
        if 'optimizer' in checkpoint:
            checkpoint['random_states'] = [as_saved(rank) for rank in self._ranks]
            note_epoch_length(runner, checkpoint)
            checkpoint['sampler_seed'] = seed_of_sampler(runner.train_dataloader)

    def _restore(self) -> None:
        if self._own:
            restore(self._own['process'])

    def _end(self, runner: Runner) -> None:
        """Say that the checkpoint is there, and end the process."""
        runner.logger.warning(f'SIGTERM: training ends. {self.last_saved(runner)} is saved, '
                              '--resume goes on from it')
        end_workers(runner)
        end_process()
