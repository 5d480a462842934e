"""How two dense heads differ that may be student and teacher."""
import torch
from mmdet.models.dense_heads import AutoAssignHead
from torch import Tensor, nn


def different_priors(a: nn.Module, b: nn.Module, shifted: bool = True) -> str:
    """How the anchors or points of two dense heads differ; '' if they do not.

    Points and anchors, one at each location, count as alike: both stand for
    their location, though not for the same pixel where :func:`location_offset`
    differs. So do two anchors of one size, one of them shifted (``center_offset``).

    Args:
        a (nn.Module): A head that has priors.
        b (nn.Module): Another.
        shifted (bool): Whether shifted anchors count as alike; not where they
            are what a prediction is measured from. Defaults to True.
    """
    a, b = a.prior_generator, b.prior_generator
    for name in ('strides', 'num_base_priors'):
        if getattr(a, name) != getattr(b, name):
            return f'{name} {getattr(a, name)} in place of {getattr(b, name)}'
    if not (hasattr(a, 'base_anchors') and hasattr(b, 'base_anchors')):
        return ''
    pairs = list(zip(a.base_anchors, b.base_anchors, strict=True))
    if all(torch.equal(x, y) for x, y in pairs):
        return ''
    same_sizes = all(torch.allclose(_sizes(x), _sizes(y)) for x, y in pairs)
    if shifted and same_sizes and max(a.num_base_priors) == 1:
        return ''
    return (f'anchors {a.base_anchors[0].tolist()} in place of {b.base_anchors[0].tolist()}'
            + ', of the same size but shifted (center_offset of the anchor_generator)' * same_sizes)


def _sizes(anchors: Tensor) -> Tensor:
    return anchors[:, 2:] - anchors[:, :2]


def has_quality_branch(head: nn.Module) -> bool:
    """Whether a dense head multiplies its class scores by another output of its own at test.

    That output is a centerness or an IoU: of FCOS, ATSS, PAA and DDOD. The
    logits of AutoAssign are of the product already.
    """
    return not isinstance(head, AutoAssignHead) and any(
        isinstance(getattr(head, name, None), nn.Module)
        for name in ('conv_centerness', 'atss_centerness', 'atss_iou'))


def location_offset(head: nn.Module) -> float:
    """How far a dense head's first location is from the image's edge, in strides.

    Of mmdet's heads 0.5 for FCOS and for anchors with ``center_offset=0.5``
    (ATSS with a Caffe or Swin backbone and DyHead), 0 for the others.
    """
    priors = head.prior_generator
    first = priors.grid_priors([(1, 1)] * priors.num_levels, device='cpu')[0]
    # a point's x, or that of the middle of an anchor's two corners
    return round((first.reshape(-1, 2)[:, 0].mean() / priors.strides[0][0]).item(), 3)
