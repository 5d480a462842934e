"""Snapshot distillation: at the end of each cycle the student becomes its own teacher."""
import io
from pathlib import Path
from typing import Optional

import torch
from mmdet.registry import HOOKS
from mmengine.dist import broadcast, is_main_process
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner

from ..checksums import sha256
from ..compat.reading import read_checkpoint
from ..models.detectors.distilled import DistilledDetector
from .checkpoint_files import PARTIAL, SavingError, commit
from .unwrapped import detector_of

# what a checkpoint calls it, and the file in the work directory
KEY, FILE = 'snapshot', 'snapshot_cycle_{}.pth'


@HOOKS.register_module()
class SnapshotHook(Hook):
    """Gives a detector with ``teacher_config='snapshot'`` its teacher, cycle by cycle.

    At the end of each cycle the student's weights, statistics of batch
    normalisation among them, are copied into the frozen teacher of the next
    one. In the first cycle no distillation loss is active. The learning rate
    should end its cycle there, too: mmengine's ``CosineRestartLR`` with
    ``periods`` of this length.

    The weights are those that the optimizer works on, also in a training with
    ``EMAHook``: the averages are never a snapshot.

    A snapshot is written into the work directory, as ``snapshot_cycle_1.pth``,
    in one piece. A checkpoint holds the file's name and SHA-256, and a resumed
    training reads it from beside the checkpoint or from its own work
    directory. Files of earlier cycles stay, since earlier checkpoints name
    them.

    Source: "Snapshot Distillation: Teacher-Student Optimization in One
    Generation" (CVPR 2019).

    Args:
        cycle (int): Length of a cycle, at least 1.
        by_epoch (bool): Whether in epochs, else in iterations. Defaults to
            True.

    Raises:
        ValueError: if the cycle is out of its range; before a training, if
            the detector does not learn from snapshots, no second cycle
            follows, or a loss could not be active when one does.
        SavingError: if a snapshot cannot be written, or that of a resumed
            checkpoint is missing or is another one.
    """
    # before the checkpoints, which name the snapshot
    priority = 'NORMAL'

    def __init__(self, cycle: int, by_epoch: bool = True) -> None:
        if cycle < 1:
            raise ValueError(f'SnapshotHook: cycle must be >= 1, got {cycle}')
        self.cycle, self.by_epoch = cycle, by_epoch
        self._named: Optional[dict] = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Recall which snapshot a resumed run learns from."""
        self._named = checkpoint.get(KEY) if runner._resume else None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Name the present snapshot, if there is one."""
        if self._named:
            checkpoint[KEY] = dict(self._named)

    def before_train(self, runner: Runner) -> None:
        """Check the settings, and bring the snapshot of a resumed run back."""
        teacher = self._student(runner).teacher
        self._check(runner)
        teacher.snapshots = 0
        if self._named:
            path = self._find(runner, self._named)
            teacher.take_snapshot(read_checkpoint(path))
            teacher.snapshots = self._named['cycle']
            runner.logger.info(f'SnapshotHook: the teacher is {path}')
        elif self._step(runner) >= self.cycle:
            runner.logger.warning(
                'SnapshotHook: a cycle had ended when this training was interrupted, but its '
                'checkpoint names no snapshot: no loss is active before the next one ends')

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        """Take the snapshot where cycles count iterations."""
        if not self.by_epoch and (runner.iter + 1) % self.cycle == 0:
            self._take(runner, (runner.iter + 1) // self.cycle)

    def after_train_epoch(self, runner: Runner) -> None:
        """Take the snapshot where cycles count epochs."""
        if self.by_epoch and (runner.epoch + 1) % self.cycle == 0:
            self._take(runner, (runner.epoch + 1) // self.cycle)

    def _take(self, runner: Runner, cycle: int) -> None:
        """Make the student the teacher, and write it down; all ranks must come here."""
        student = self._student(runner)
        student.teacher.take_snapshot(student.state_dict())
        weights = student.teacher_model.state_dict()
        for value in weights.values():  # each rank has batch statistics of its own
            broadcast(value, src=0)
        self._named = dict(file=FILE.format(cycle), cycle=cycle, sha256='')
        if is_main_process():
            path = Path(runner.work_dir) / self._named['file']
            _write(weights, path)
            self._named['sha256'] = sha256(path)  # rank 0 alone writes checkpoints
            runner.logger.info(f'SnapshotHook: cycle {cycle} has ended, the student of now teaches '
                               f'from here on ({path})')

    def _find(self, runner: Runner, named: dict) -> Path:
        """The file that a checkpoint names."""
        folders = [Path(runner.work_dir)]
        if runner._load_from is not None and '://' not in str(runner._load_from):
            folders.insert(0, Path(runner._load_from).parent)
        name = Path(named['file']).name
        found = [folder / name for folder in folders if (folder / name).is_file()]
        if not found:
            raise SavingError(
                f'the checkpoint learns from the snapshot {name}, which is not in '
                f'{" or ".join(dict.fromkeys(map(str, folders)))}: put it there, or train anew')
        for path in found:
            if sha256(path) == named['sha256']:
                return path
        raise SavingError(
            f'{found[0]} is not the snapshot that the checkpoint learns from: its SHA-256 is '
            f'{sha256(found[0])}, the checkpoint names {named["sha256"]}. Put the right file '
            'there, or resume from another checkpoint')

    def _check(self, runner: Runner) -> None:
        last = runner.max_epochs if self.by_epoch else runner.max_iters
        unit = 'epochs' if self.by_epoch else 'iterations'
        if self.cycle >= last:
            raise ValueError(
                f'SnapshotHook: cycle={self.cycle} {unit}, but the training has {last}: its first '
                'snapshot would teach nothing')
        length = len(runner.train_dataloader)
        first = self.cycle * length if self.by_epoch else self.cycle
        for name, loss in self._student(runner).distill_losses.items():
            begin, end, warmup = loss.window.steps(runner.max_iters, runner.max_epochs)
            scale = length if loss.window.by_epoch else 1
            if end is not None and end * scale <= first:
                raise ValueError(
                    f'{name}: its window ends at {end}, before the first cycle of '
                    f'SnapshotHook does ({self.cycle} {unit}), so it would never be active')
            if warmup and begin * scale < first:
                raise ValueError(
                    f'{name}: its window grows from {begin} on, but there is no snapshot '
                    f'before the first cycle ends: set begin to that step ({self.cycle} {unit})')

    def _step(self, runner: Runner) -> int:
        return runner.epoch if self.by_epoch else runner.iter

    @staticmethod
    def _student(runner: Runner) -> DistilledDetector:
        model = detector_of(runner.model)
        if not isinstance(model, DistilledDetector) or not model.teacher.is_snapshot:
            raise ValueError("SnapshotHook: the model does not learn from snapshots; it needs "
                             "model.teacher_config='snapshot'")
        return model


def _write(weights: dict, path: Path) -> None:
    """Write the weights in one piece, or not at all."""
    partial = path.with_name(path.name + PARTIAL)
    try:
        # tensors by name and nothing else, whatever a module adds to its state
        buffer = io.BytesIO()
        torch.save({key: value.cpu() for key, value in weights.items()}, buffer)
        partial.write_bytes(buffer.getbuffer())
        commit(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise SavingError(f'{path} could not be written ({error}): make room, and go on with '
                          '--resume') from error
