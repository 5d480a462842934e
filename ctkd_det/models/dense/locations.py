"""The order of the locations of a batch.

A location is one anchor or point of one image. All of a batch, N, stand in one
order: level by level, the finest first; of a level image by image; of an image
row by row; at a position anchor by anchor.
"""
from typing import Sequence

import torch
from torch import Tensor


def flat(levels: Sequence[Tensor], width: int) -> Tensor:
    """(B, A * width, H, W) of each level as (N, width)."""
    return torch.cat([x.permute(0, 2, 3, 1).reshape(-1, width) for x in levels])


def by_level(x: Tensor, levels: Sequence[Tensor], width: int) -> Tensor:
    """(N,) that stands image by image, put level by level; ``levels`` as in :func:`flat`."""
    sizes = [level[0].numel() // width for level in levels]
    return torch.cat([part.reshape(-1) for part in x.view(len(levels[0]), -1).split(sizes, 1)])
