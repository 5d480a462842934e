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

    Does nothing if the losses are others than those that were saved.
    """
    shapes = [{name: value.shape for name, value in states.items()}
              for states in (saved, changing_state(_model(runner)))]
    if shapes[0] == shapes[1]:
        restore_changing_state(_model(runner), saved)


def _model(runner: Runner) -> nn.Module:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
