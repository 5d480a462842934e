"""What each rank has of its own: queues and draws of its losses, and what its detector keeps."""
from typing import Any, Dict

from mmengine.runner import Runner
from torch import Tensor

from ..replay import changing_state, restore_changing_state
from .unwrapped import detector_of


def own_states(runner: Runner) -> Dict[str, Any]:
    """States of this rank, on the CPU, from where another rank can take them."""
    return {name: value.cpu() if isinstance(value, Tensor) else value
            for name, value in changing_state(detector_of(runner.model)).items()}


def restore_own_states(runner: Runner, saved: Dict[str, Any]) -> None:
    """Restore this rank's states: a checkpoint's weights have those of rank 0.

    What the losses of the checkpoint did not have begins anew, and a warning
    names it.
    """
    if not saved:  # The checkpoint has no states of this rank. A warning has said so.
        return
    detector = detector_of(runner.model)
    now = changing_state(detector)
    fitting = {name: saved[name] for name, value in now.items() if name in saved and (
        not isinstance(value, Tensor) or saved[name].shape == value.shape)}
    new = [name.removesuffix('._extra_state') for name, value in now.items()
           if name not in fitting and isinstance(value, Tensor)]
    if new:
        runner.logger.warning('--resume: the checkpoint has no state of this process for '
                              f'{", ".join(new)}, whose queues and draws begin anew')
    restore_changing_state(detector, fitting)
