"""How much a detector computes."""
from typing import Optional, Tuple

import torch
from mmdet.structures import DetDataSample
from mmengine.analysis import FlopAnalyzer
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmengine.utils import to_2tuple
from torch import Tensor, nn

from .configs import transforms_of, type_name


def resize_shape(cfg: Config) -> Optional[Tuple[int, int]]:
    """Height and width of the test pipeline's ``Resize``, if it has one size.

    Where the config tests nothing, validation's.
    """
    for step in transforms_of(cfg.get('test_dataloader') or cfg.get('val_dataloader')):
        if type_name(step).endswith('Resize') and step.get('scale'):
            width, height = to_2tuple(step['scale'])
            return height, width
    return None


def flops(model: nn.Module, shape: Tuple[int, int]) -> float:
    """Multiply-additions for one image, padded as the detector pads it.

    For a two-stage detector they depend on how many proposals it makes; the
    image is random noise.
    """
    divisor = model.data_preprocessor.pad_size_divisor
    height, width = (-(-side // divisor) * divisor for side in shape)
    sample = DetDataSample(metainfo=dict(
        img_shape=shape, ori_shape=shape, pad_shape=(height, width),
        batch_input_shape=(height, width), scale_factor=(1.0, 1.0)))
    # Sparse R-CNN and QueryInst look for objects
    sample.gt_instances = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    image = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    # what get_model_complexity_info calls, without its warnings of operators that cost nothing
    counter = FlopAnalyzer(_OnOneImage(model, sample), (image, ))
    return counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()


class _OnOneImage(nn.Module):
    """A detector as a function of the image alone, as the counter calls it."""

    def __init__(self, model: nn.Module, sample: DetDataSample) -> None:
        super().__init__()
        self.model, self.sample = model, sample

    def forward(self, image: Tensor):
        return self.model(image, data_samples=[self.sample])
