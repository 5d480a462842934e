"""The locations around those that are assigned an object."""
from typing import List, Tuple

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

# the lower end of the region, as a part of ATSS's threshold
GAMMA = 0.25


def valuable_region(anchors: Tensor, counts: List[int], valid: Tensor, boxes: Tensor,
                    topk: int) -> Tensor:
    """The valuable localization region of one image, see :class:`LDLoss`.

    Args:
        anchors (Tensor): (n, 4) of all levels, the finest first.
        counts (list[int]): How many of them each level has.
        valid (Tensor): (n,), bool, which of them may be assigned an object.
        boxes (Tensor): (G, 4), the objects.
        topk (int): How many anchors of each level ATSS considers for each
            object.

    Returns:
        Tensor: (n,), 0 outside; inside the largest IoU with an object in
        whose region the anchor is.
    """
    weight = anchors.new_zeros(len(anchors))
    if not len(boxes) or not valid.any():
        return weight
    inside = anchors[valid]
    iou, distance, diou = _overlaps(inside, boxes)
    start, candidates = 0, []
    for part in valid.split(counts):
        count = int(part.sum())
        level = distance[start:start + count]
        candidates.append(level.topk(min(topk, count), 0, largest=False).indices + start)
        start += count
    considered = iou.gather(0, torch.cat(candidates))
    alpha = considered.mean(0) + considered.std(0)
    region = (diou >= GAMMA * alpha) & (diou < alpha)
    weight[valid] = iou.where(region, 0).amax(1)
    return weight


def _overlaps(anchors: Tensor, boxes: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """IoU, distance of the centers in pixels, and DIoU, (n, G) each."""
    iou = bbox_overlaps(anchors, boxes)
    a, b = anchors[:, None], boxes[None]
    distance = ((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2).norm(dim=-1)
    enclosing = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    diagonal = enclosing.square().sum(-1).clamp(min=1e-6)
    return iou, distance, iou - distance.square() / diagonal
