"""Images as GPUs' tensor cores like them."""
import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Stores the weights of student and teacher with the channels last.

    Convolutions follow their weights, so the feature maps do, too. Only the
    order in memory changes; checkpoints load as ever.
    """

    def before_run(self, runner: Runner) -> None:
        """Reorder before a checkpoint is loaded, which keeps the order."""
        runner.model.to(memory_format=torch.channels_last)
