"""Stores weights in the memory format ``channels_last``."""
import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Stores the weights of student and teacher with the channels last.

    Convolutions then return feature maps in the same memory format. Values
    and checkpoints do not change.
    """

    def before_run(self, runner: Runner) -> None:
        """Reorder before a checkpoint is loaded, which keeps the order."""
        runner.model.to(memory_format=torch.channels_last)
