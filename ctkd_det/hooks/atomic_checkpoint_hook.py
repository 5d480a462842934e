"""Saves checkpoints so that a whole one exists at any moment."""
from pathlib import Path
from typing import Any, List

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from ..starts import number_start
from .checkpoint_files import (
    PARTIAL,
    POINTER,
    PROBE,
    CheckpointFolder,
    SavingError,
    commit,
    remove,
    write_text,
)
from .starting_point import forget_lost_best
from .validations import VALIDATED


class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook`` in another order: write, sync, name, then remove.

    Folders that are not local, whose stores write whole files, are left to
    mmengine.

    Raises:
        SavingError: while training, if a checkpoint cannot be written.
    """

    def before_train(self, runner: Runner) -> None:
        """Check, before the first step, that checkpoints can be written.

        Raises:
            SavingError: if not.
        """
        _keep_numbers(runner.message_hub.runtime_info)
        if self.is_local(runner):
            forget_lost_best(runner, self.folder(runner))
        super().before_train(runner)
        if not self.is_local(runner) or not is_main_process():
            return
        folder = self.folder(runner)
        try:
            folder.folder.mkdir(parents=True, exist_ok=True)
            write_text(folder.folder / PROBE, '')
            (folder.folder / PROBE).unlink()
            number_start(Path(runner.work_dir), Path(runner.log_dir))
        except OSError as error:
            raise SavingError(f'no checkpoint can be written to {folder.folder} ({error}): '
                              'mend that, or give another --work-dir') from error
        folder.remove_leftovers()
        if runner._resume:
            folder.add_checksum(Path(str(runner._load_from)))
        # a crash may have kept the run from it
        folder.remove_named(runner.message_hub.get_info('outdated_ckpts', []))

    def is_local(self, runner: Runner) -> bool:
        """Whether checkpoints go to a folder of this machine."""
        return '://' not in str(self.out_dir or runner.work_dir)

    def folder(self, runner: Runner) -> CheckpointFolder:
        """Where checkpoints go, also before mmengine has put that together."""
        return self.folder_in(runner.work_dir)

    def folder_in(self, work_dir: str) -> CheckpointFolder:
        """Where those of a training with this work directory go."""
        out = Path(self.out_dir or work_dir)
        if self.out_dir is not None and not hasattr(self, 'file_backend') and (
                self.out_dir != work_dir):
            out = out / Path(work_dir).name
        return CheckpointFolder(out, Path(work_dir), self.filename_tmpl)

    def last_saved(self, runner: Runner) -> str:
        """The last checkpoint, which is that of the resume until one is saved; '' if none is."""
        return self.last_ckpt or (str(runner._load_from) if runner._resume else '')

    def save(self, runner: Runner, name: str, **options: Any) -> None:
        """Save under ``name``, whole or not at all; all ranks must come here.

        Raises:
            SavingError: if it cannot be written.
        """
        path = Path(self.out_dir) / name
        if not self.is_local(runner):
            runner.save_checkpoint(self.out_dir, name, **options)
            return
        partial = path.with_name(path.name + PARTIAL)
        try:
            runner.save_checkpoint(self.out_dir, partial.name, **options)
            if is_main_process():
                commit(partial, path)
        except OSError as error:
            remove(partial)
            raise SavingError(
                f'{path} could not be written ({error}). Earlier checkpoints are as they were: '
                'make room (for two checkpoints, since the old one stays until the new one is '
                'whole), and go on with --resume') from error

    def save_to_resume(self, runner: Runner, name: str, meta: dict) -> None:
        """Save what a run can be resumed from, and let ``last_checkpoint`` name it."""
        self.last_ckpt = str(Path(self.out_dir) / name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        self.save(runner, name, file_client_args=self.file_client_args,
                  save_optimizer=self.save_optimizer,
                  save_param_scheduler=self.save_param_scheduler, meta=meta,
                  by_epoch=self.by_epoch, backend_args=self.backend_args, **self.args)
        if is_main_process():
            write_text(Path(runner.work_dir) / POINTER, self.last_ckpt)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Save, say so, then remove what is more than ``max_keep_ckpts``."""
        if not self.is_local(runner):
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        outdated: List[str] = []
        if isinstance(runner, _SavingRunner):  # once more, with the score of the new best one
            outdated, runner = runner.outdated(), runner.runner
            # without the config and the like, which the runner has added to meta
            runner.message_hub.update_info(VALIDATED, {k: meta[k] for k in ('epoch', 'iter')})
        if self.max_keep_ckpts > 0 and list(self.keep_ckpt_ids)[-1:] != [step]:
            while len(self.keep_ckpt_ids) >= self.max_keep_ckpts:
                outdated.append(self.filename_tmpl.format(self.keep_ckpt_ids.popleft()))
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        runner.message_hub.update_info('outdated_ckpts', outdated)
        self.save_to_resume(runner, self.filename_tmpl.format(step), meta)
        if is_main_process():
            self.folder(runner).remove_interrupted(before=step)
            self.folder(runner).remove_named(outdated)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """As mmengine does, which removes the former best first; here that comes last."""
        # a Runner may also validate before it has trained
        if not self.save_best or not self.is_local(runner):
            super()._save_best_checkpoint(runner, metrics)
            return
        backend = self.file_backend
        self.file_backend = waiting = _WaitingRemovals(backend)
        saving = _SavingRunner(runner, self, waiting)
        try:
            super()._save_best_checkpoint(saving, metrics)
        finally:
            self.file_backend = backend
        self.folder(runner).remove_named(saving.outdated())


def _keep_numbers(runtime_info: dict) -> None:
    """Drop what mmengine would put into names of files to remove, unless it is a number.

    It is from the checkpoint that is resumed, which may be a stranger's.
    """
    ids = runtime_info.get('keep_ckpt_ids')
    if ids is not None:
        runtime_info['keep_ckpt_ids'] = [i for i in ids if isinstance(i, int)] if isinstance(
            ids, list) else []


class _SavingRunner:
    """A runner that saves as the hook does."""

    def __init__(self, runner: Runner, hook: AtomicCheckpointHook,
                 waiting: '_WaitingRemovals') -> None:
        self.runner, self.hook, self.waiting, self.saved = runner, hook, waiting, set()

    def save_checkpoint(self, out_dir: str, filename: str, **options: Any) -> None:
        self.saved.add(filename)
        self.hook.save(self.runner, filename, **options)

    def outdated(self) -> List[str]:
        """Names of the former best ones, which wait to be removed."""
        return [path.name for path in self.waiting.removals if path.name not in self.saved]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.runner, name)


class _WaitingRemovals:
    """A file backend that notes what is to be removed."""

    def __init__(self, backend: Any) -> None:
        self.backend, self.removals = backend, []

    def remove(self, path: str) -> None:
        self.removals.append(Path(path))

    rmtree = remove

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)
