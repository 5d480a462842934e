"""Ends a training whose loss is NaN or infinite."""
import copy
import math
import shlex
from pathlib import Path
from typing import Any, Dict, Optional

import torch
from mmdet.models import BatchSyncRandomResize
from mmdet.registry import HOOKS
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner
from torch import Tensor, nn

from ..models.not_finite import not_finite_on_the_way
from ..random_states import as_saved, random_states, restore
from ..replay import changing_state, restore_changing_state, save_step
from .unwrapped import detector_of


class NotFiniteError(RuntimeError):
    """A loss is NaN or infinite."""


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stops the training at the first loss that is NaN or infinite, before the optimizer steps.

    The error names the iteration, the losses and the first tensor that was
    not finite: a weight, the output of a module, logits, tau. The hook writes
    the batch to ``not_finite_iter_N.pth`` in the work directory, with the
    weights, the states of the losses and the random states from before the
    step. ``ctkd-det replay`` repeats the step. With several ranks the error
    does not name the tensor; replay does.

    For any detector of mmengine, distilled or plain: ``default_hooks=dict(
    finite=dict(type='FiniteLossHook'))``.
    """
    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Check the losses of each forward pass before each step of the optimizer."""
        self.model = detector_of(runner.model)
        self._losses: Dict[str, Tensor] = {}
        self._resizes = any(isinstance(m, BatchSyncRandomResize) for m in self.model.modules())
        optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
        self._handles = [self.model.register_forward_hook(self._note)]
        if optimizer is not None:  # of several, the check comes after their steps
            self._handles.append(
                optimizer.register_step_pre_hook(lambda *_: self._check(runner)))

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: DATA_BATCH = None) -> None:
        """Keep what a replay of this iteration needs."""
        self._batch, self._random = data_batch, random_states()
        if self._resizes:  # YOLOX's preprocessor resizes the boxes in place
            self._batch = dict(data_batch, data_samples=copy.deepcopy(data_batch['data_samples']))
        # the forward pass changes these before its losses are checked
        self._changing = changing_state(self.model)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        """Check also an iteration in which the optimizer did not step."""
        self._check(runner)
        self._batch = None

    def after_train(self, runner: Runner) -> None:
        """Stop checking."""
        for handle in self._handles:
            handle.remove()

    def _note(self, model: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, dict):
            self._losses = {
                name: sum(x.detach().mean() for x in value) if isinstance(value, (list, tuple))
                else value.detach().mean() for name, value in output.items() if 'loss' in name}

    def _check(self, runner: Runner) -> None:
        losses, self._losses = self._losses, {}
        # one transfer from the device
        if losses and not torch.stack(list(losses.values())).isfinite().all():
            self._stop(runner, {name: float(value) for name, value in losses.items()})

    def _stop(self, runner: Runner, losses: Dict[str, float]) -> None:
        bad = {name: value for name, value in losses.items() if not math.isfinite(value)}
        words = ', '.join(f'{name} is {value}' for name, value in bad.items())
        name = f'not_finite_iter_{runner.iter + 1}'
        file = Path(runner.work_dir) / (
            f'{name}.pth' if get_world_size() == 1 else f'{name}_rank_{get_rank()}.pth')
        data = runner.message_hub.get_info('dataset_meta') or {}
        try:
            save_step(file, self.model, self._batch, self._changing, data.get('classes'),
                      iteration=runner.iter, epoch=runner.epoch, max_iters=runner.max_iters,
                      max_epochs=runner.max_epochs, losses=losses,
                      random_states=as_saved(self._random), config=_config_beside(runner))
            saved = (f'The batch is in {file}; to see it fail: ctkd-det replay '
                     f'{shlex.quote(str(file))}')
        except (OSError, RuntimeError) as error:  # torch's writer raises both
            saved = f'The batch could not be written to {file} ({error})'
        raise NotFiniteError(
            f'iteration {runner.iter + 1} (epoch {runner.epoch + 1}): {words}. '
            f'{self._first(runner)} The weights are those before this step. {saved}')

    def _first(self, runner: Runner) -> str:
        if get_world_size() > 1:  # the losses' means over ranks need all of them
            return ''
        restore(self._random)
        restore_changing_state(self.model, self._changing)

        def run() -> None:
            with runner.optim_wrapper.optim_context(self.model):
                data = self.model.data_preprocessor(self._batch, True)
                self.model._run_forward(data, mode='loss')

        found = not_finite_on_the_way(self.model, run)
        return f'Not finite first: {found[0]}.' if found else (
            'All that the modules receive and return is finite, so the loss itself overflows.')


def _config_beside(runner: Runner) -> str:
    """Name of the config that the runner has written into its work directory."""
    return Path(runner.cfg.filename or f'{runner.timestamp}.py').name
