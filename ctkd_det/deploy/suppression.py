"""Choosing the best candidates of each image, in operations that ONNX has.

Every image of a batch has the same number of candidates; those that mmdet would
drop are marked as not valid instead, so that the batch stays one tensor.
"""
from typing import NamedTuple, Tuple

import torch
import torchvision
from torch import Tensor
from torch.onnx.symbolic_helper import parse_args

# the score of what is not valid; mmdet's scores lie between 0 and 1
_NONE = -1.0


class Candidates(NamedTuple):
    """Boxes before NMS, of B images.

    Attributes:
        boxes: (B, K, 4), x1, y1, x2, y2 in pixels of the input.
        scores: (B, K).
        labels: (B, K); boxes of different labels do not suppress each other.
        valid: (B, K), whether mmdet would consider it.
    """
    boxes: Tensor
    scores: Tensor
    labels: Tensor
    valid: Tensor


class Kept(NamedTuple):
    """Boxes after NMS, by falling score; D of each image at most.

    Attributes:
        boxes: (B, D, 4), 0 where there is none.
        scores: (B, D), 0 where there is none.
        labels: (B, D), -1 where there is none.
    """
    boxes: Tensor
    scores: Tensor
    labels: Tensor


def size_of(x: Tensor, dim: int) -> Tensor:
    """The size of a dimension as a tensor, which tracing does not turn into a constant."""
    return torch.as_tensor(x.shape[dim])


def take(x: Tensor, index: Tensor) -> Tensor:
    """Rows ``index`` (B, D) of ``x`` (B, K, ...)."""
    if x.ndim == 2:
        return x.gather(1, index)
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[2]))


def highest(scores: Tensor, number: int) -> Tuple[Tensor, Tensor]:
    """The ``number`` highest of (B, K) scores, or all if there are fewer: values and indices."""
    return scores.topk(torch.minimum(torch.tensor(number), size_of(scores, 1)))


def suppress(found: Candidates, nms: dict, most: int) -> Kept:
    """NMS within each label, as ``mmcv.ops.batched_nms`` does it.

    Args:
        found (Candidates): Before NMS.
        nms (dict): ``iou_threshold``, and ``class_agnostic`` if labels do not
            matter.
        most (int): Boxes to keep of each image.
    """
    boxes, scores = found.boxes, found.scores.masked_fill(~found.valid, _NONE)
    if not nms.get('class_agnostic', False):
        # labels are moved apart by mmcv's distance, so that overlaps are rounded as there
        largest = boxes.masked_fill(~found.valid[..., None], 0).amax(dim=(1, 2), keepdim=True)
        boxes = boxes + found.labels.to(boxes)[..., None] * (largest + 1)
    rows = torch.ops.ctkd_det.non_max_suppression(
        boxes, scores, float(nms['iou_threshold']), most)
    places = rows[:, 0] * size_of(scores, 1) + rows[:, 2]
    is_kept = torch.zeros_like(scores).flatten().scatter(0, places, 1.0).reshape_as(scores)
    scores, index = highest(scores.masked_fill(is_kept == 0, _NONE), most)
    empty = scores <= _NONE
    return Kept(take(found.boxes, index).masked_fill(empty[..., None], 0),
                scores.masked_fill(empty, 0),
                take(found.labels, index).masked_fill(empty, -1))


def _non_max_suppression(boxes: Tensor, scores: Tensor, iou_threshold: float,
                         most: int) -> Tensor:
    """ONNX's operator: rows of image, 0 and box for each that stays."""
    rows = []
    for image, (b, s) in enumerate(zip(boxes, scores, strict=True)):
        valid = (s > _NONE).nonzero()[:, 0]
        kept = valid[torchvision.ops.nms(b[valid], s[valid], iou_threshold)][:most]
        zeros = torch.zeros_like(kept)
        rows.append(torch.stack([zeros + image, zeros, kept], 1))
    return torch.cat(rows)


@parse_args('v', 'v', 'f', 'i')
def _symbol(g, boxes, scores, iou_threshold: float, most: int):
    def constant(value, dtype):
        return g.op('Constant', value_t=torch.tensor(value, dtype=dtype))

    return g.op('NonMaxSuppression', boxes,
                g.op('Unsqueeze', scores, constant([1], torch.long)),
                constant([most], torch.long), constant([iou_threshold], torch.float),
                constant([_NONE / 2], torch.float))


# an operator of its own, because tracing would look into a function
_LIBRARY = torch.library.Library('ctkd_det', 'DEF')
_LIBRARY.define('non_max_suppression(Tensor boxes, Tensor scores, float iou_threshold, int most) '
                '-> Tensor')
_LIBRARY.impl('non_max_suppression', _non_max_suppression, 'CPU')
torch.onnx.register_custom_op_symbolic('ctkd_det::non_max_suppression', _symbol, 13)
