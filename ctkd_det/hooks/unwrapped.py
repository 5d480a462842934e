"""The detector itself, also where it is trained on several devices."""
from mmengine.model import is_model_wrapper
from torch import nn


def detector_of(model: nn.Module) -> nn.Module:
    """What a wrapper such as DistributedDataParallel contains; else the model as it is."""
    return model.module if is_model_wrapper(model) else model
