"""Pads images for a neck whose maps meet only at certain sizes, and cuts the maps."""
import math
from typing import Optional, Sequence, Tuple

import torch.nn.functional as F
from torch import Tensor, nn

from .neck_levels import padding_need


class NeckPadding:
    """Gives a teacher images of sides that its neck takes, and its maps the usual sizes.

    A neck that joins maps of two strides may need images padded to a multiple
    of 32 (RTMDet, YOLOX, YOLOv3); one that rounds sizes down (NAS-FPN, HRNet)
    gives fewer positions without that. Who compares the maps is told nothing
    of it.

    Args:
        teacher (nn.Module): A built detector; it is left as it is.
        student (nn.Module, optional): The one that sees the same images. What
            it needs itself its batches have, and what it rounds down the
            teacher may. Defaults to None, no such one.
    """

    def __init__(self, teacher: nn.Module, student: Optional[nn.Module] = None) -> None:
        self.need, self.strides = padding_need(teacher)
        if self.need > 1 and student is not None and padding_need(student)[0] % self.need == 0:
            self.need = 1

    def images(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) with zeros at the right and at the bottom; as they came if they fit."""
        down, right = self._missing(images)
        return F.pad(images, (0, right, 0, down)) if down or right else images

    def maps(self, maps: Sequence[Tensor], images: Tensor) -> Sequence[Tensor]:
        """The part of padded images' maps that covers the ``images`` as they came."""
        if not any(self._missing(images)):
            return maps
        sizes = [[math.ceil(side / stride) for side in images.shape[2:]]
                 for stride in self.strides]
        # operators of mmcv take no views
        return [x[:, :, :height, :width].contiguous()
                for x, (height, width) in zip(maps, sizes, strict=True)]

    def _missing(self, images: Tensor) -> Tuple[int, ...]:
        """Pixels that height and width lack."""
        return tuple(-side % self.need for side in images.shape[2:])
