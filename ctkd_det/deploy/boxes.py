"""Anchors, points and the boxes that a head predicts from them, with sizes that stay dynamic.

mmdet's own functions measure with ``len`` and clip in place, which tracing
turns into constants.
"""
import math
from typing import Tuple

import torch
from mmdet.models.task_modules import (
    AnchorGenerator,
    DeltaXYWHBBoxCoder,
    DistancePointBBoxCoder,
    MlvlPointGenerator,
)
from torch import Tensor

from .errors import NotDeployable, require
from .suppression import size_of

# height and width of the images in pixels, before they are padded
Size = Tuple[Tensor, Tensor]


def require_known_boxes(generator, coder, what: str) -> None:
    """See that anchors and coder are those that this module computes.

    Raises:
        NotDeployable: if not.
    """
    require(generator, (AnchorGenerator, MlvlPointGenerator), f'{what}.anchor_generator')
    require(coder, (DeltaXYWHBBoxCoder, DistancePointBBoxCoder), f'{what}.bbox_coder')
    if getattr(coder, 'add_ctr_clamp', False):
        raise NotDeployable(f'{what}.bbox_coder with add_ctr_clamp cannot be exported to ONNX')


def priors_of(generator, level: int, features: Tensor) -> Tensor:
    """Anchors (N, 4) or points (N, 2) of a level, in mmdet's order: by row, column, anchor."""
    stride_x, stride_y = generator.strides[level]
    offset = getattr(generator, 'offset', 0.0) if isinstance(
        generator, MlvlPointGenerator) else 0.0
    x = (torch.arange(size_of(features, 3)).float() + offset) * stride_x
    y = (torch.arange(size_of(features, 2)).float() + offset) * stride_y
    rows, columns = torch.meshgrid(y, x, indexing='ij')
    points = torch.stack([columns.flatten(), rows.flatten()], 1)
    if isinstance(generator, MlvlPointGenerator):
        return points
    anchors = generator.base_anchors[level].to(points)
    return (torch.cat([points, points], 1)[:, None] + anchors[None]).reshape(-1, 4)


def decode(coder, priors: Tensor, predicted: Tensor, size: Size) -> Tensor:
    """Boxes (..., 4) of what a head predicts (..., 4) at its priors (..., 4) or (..., 2).

    The inverse of the encoding of R-CNN (CVPR 2014), or distances to the four
    sides as in FCOS (ICCV 2019).
    """
    if isinstance(coder, DistancePointBBoxCoder):
        if priors.shape[-1] == 4:
            priors = (priors[..., :2] + priors[..., 2:]) / 2
        corners = torch.cat([priors - predicted[..., :2], priors + predicted[..., 2:]], -1)
    else:
        deltas = predicted * predicted.new_tensor(coder.stds) + predicted.new_tensor(coder.means)
        limit = abs(math.log(16 / 1000))  # mmdet's largest change of a side
        sides = priors[..., 2:] - priors[..., :2]
        centres = (priors[..., :2] + priors[..., 2:]) * 0.5 + sides * deltas[..., :2]
        halves = sides * deltas[..., 2:].clamp(-limit, limit).exp() * 0.5
        corners = torch.cat([centres - halves, centres + halves], -1)
    if not coder.clip_border:
        return corners
    height, width = size
    return torch.minimum(corners.clamp(min=0), torch.stack([width, height, width, height]))


def large_enough(boxes: Tensor, config: dict) -> Tensor:
    """Whether both sides are larger than ``min_bbox_size``, if the config has one."""
    least = config.get('min_bbox_size', -1)
    sides = boxes[..., 2:] - boxes[..., :2]
    return (sides > least).all(-1) if least >= 0 else torch.ones_like(boxes[..., 0]) > 0
