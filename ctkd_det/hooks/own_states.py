"""What each rank's distillation losses have of their own: queues, and states of their draws."""
from typing import Dict

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from ..replay import changing_state, restore_changing_state


def own_states(runner: Runner) -> Dict[str, Tensor]:
    """States of this rank, on the CPU, from where another rank can take them."""
    return {name: value.cpu() for name, value in changing_state(_model(runner)).items()}


def restore_own_states(runner: Runner, saved: Dict[str, Tensor]) -> None:
    """Restore this rank's states: a checkpoint's weights have those of rank 0.

    What the losses of the checkpoint did not have begins anew, and a warning
    names it.
    """
    if not saved:  # none of this rank, which was said
        return
    now = changing_state(_model(runner))
    fitting = {name: saved[name] for name, value in now.items()
               if name in saved and saved[name].shape == value.shape}
    new = [name.removesuffix('._extra_state') for name in now if name not in fitting]
    if new:
        runner.logger.warning('--resume: the checkpoint has no state of this process for '
                              f'{", ".join(new)}, whose queues and draws begin anew')
    restore_changing_state(_model(runner), fitting)


def _model(runner: Runner) -> nn.Module:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
