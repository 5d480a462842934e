"""What a Runner's training tells the losses, step by step."""
from typing import Mapping, Optional

from mmengine.logging import MessageHub

from ..losses import DistillLoss


class OwnTraining:
    """Finds what the Runner says that trains a detector, among all Runners of the process.

    mmengine knows the newest only. But a sweep may build several before the
    first one trains, a hook may train another detector on the way, and a
    training that ended with an error says for ever that it goes on. To be made
    in the detector's constructor: a Runner builds its detector once it has
    begun to say something, and before it trains.
    """

    def __init__(self) -> None:
        newest = MessageHub.get_current_instance()
        # one that trains has a detector; this one was built by hand, for a Runner to come
        self._builder = None if _trains(newest) else newest.instance_name

    def now(self) -> Optional[MessageHub]:
        """What that Runner says, while it trains; of a detector that was built by hand the newest.
        """
        hubs = {name: hub for name, hub in MessageHub._instance_dict.items() if _trains(hub)}
        return hubs.get(self._builder) or next(reversed(hubs.values()), None)


def _trains(hub: MessageHub) -> bool:
    return hub.get_info('loop_stage') == 'train'


def move_windows(losses: Mapping[str, DistillLoss], training: MessageHub) -> None:
    """Move the losses' windows to the current iteration.

    Raises:
        ValueError: if a window counts epochs where there is only one.
    """
    for name, loss in losses.items():
        if loss.window.by_epoch and training.get_info('max_epochs') == 1:
            raise ValueError(f'{name}: this training has but one epoch, as every '
                             'iteration-based one; give its window in iterations')
        loss.window.move_to(*(training.get_info(key) for key in (
            'iter', 'epoch', 'max_iters', 'max_epochs')))
