"""Quarter turns of a batch of images, and of the RoIs on it."""
from typing import Tuple

import torch
from torch import Tensor


def rotate_images(images: Tensor, turns: int) -> Tensor:
    """Turn images counterclockwise; no pixel changes its value.

    Args:
        images (Tensor): (B, C, H, W), with their padding.
        turns (int): How often by 90 degrees, from 0 to 3.

    Returns:
        Tensor: (B, C, W, H) after an odd number of turns; ``images`` itself
        after none.
    """
    return torch.rot90(images, turns, (2, 3)) if turns else images


def rotate_rois(rois: Tensor, turns: int, size: Tuple[int, int]) -> Tensor:
    """Turn RoIs with the images that they are on.

    Args:
        rois (Tensor): (N, 5), the image's index and x1, y1, x2, y2 in pixels.
        turns (int): As in :func:`rotate_images`.
        size (tuple[int]): Height and width of the batch before the turns, with
            its padding.

    Returns:
        Tensor: (N, 5). An edge at x is at y = W - x afterwards, so x1 and x2
        change places; each such difference is rounded once.
    """
    height, width = size
    for _ in range(turns):
        image, x1, y1, x2, y2 = rois.unbind(1)
        rois = torch.stack([image, y1, width - x2, y2, width - x1], 1)
        height, width = width, height
    return rois
