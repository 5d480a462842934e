"""A bidirectional feature pyramid, which MMDetection 3.3 does not have."""
from typing import List, Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import DepthwiseSeparableConvModule
from torch import Tensor, nn

_EPS = 1e-4


class BiFPN(nn.Module):
    """One layer: from the coarsest level to the finest, and back.

    Where maps meet they are added with learned weights, which are cut at 0 and
    divided by their sum; a swish, a depthwise separable 3 x 3 convolution and
    batch normalisation follow. The width does not change. Source:
    "EfficientDet: Scalable and Efficient Object Detection" (CVPR 2020),
    section 3, and FRSKD (CVPR 2021), where it is the self-teacher.

    Args:
        channels (Sequence[int]): Width of each level, all the same.

    Raises:
        ValueError: if they differ, or there is one level only.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        if len(set(channels)) != 1 or len(channels) < 2:
            raise ValueError(f"teacher_config='refined' needs a neck with several maps of one "
                             f'width for the RoIs, got the widths {list(channels)}')
        levels = len(channels)
        self.down = nn.ModuleList(_Fusion(channels[0], 2) for _ in range(levels - 1))
        self.up = nn.ModuleList(
            _Fusion(channels[0], 3 if i < levels - 1 else 2) for i in range(1, levels))

    def forward(self, maps: Sequence[Tensor]) -> List[Tensor]:
        """Maps (B, C, H, W), the finest first, of the same shapes as those given."""
        middle = [maps[-1]]
        for x, fuse in zip(reversed(maps[:-1]), reversed(self.down), strict=True):
            middle.insert(0, fuse([x, _resized(middle[0], x)]))
        out = [middle[0]]
        for i, fuse in enumerate(self.up, 1):
            finer = _resized(F.max_pool2d(out[-1], 3, stride=2, padding=1), maps[i])
            # the coarsest level has nothing from above
            own = [maps[i], middle[i]] if i < len(maps) - 1 else [maps[i]]
            out.append(fuse([*own, finer]))
        return out


class _Fusion(nn.Module):
    """Several maps of one shape become one."""

    def __init__(self, channels: int, inputs: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(inputs))
        self.conv = DepthwiseSeparableConvModule(
            channels, channels, 3, padding=1, norm_cfg=dict(type='BN'), act_cfg=None)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        weights = self.weights.relu()
        weights = weights / (weights.sum() + _EPS)
        return self.conv(F.silu(sum(w * x for w, x in zip(weights, maps, strict=True))))


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return x if x.shape[2:] == like.shape[2:] else F.interpolate(x, size=like.shape[2:])
