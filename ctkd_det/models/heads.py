"""Which heads can be distilled, and where their logits come from."""
import inspect
from typing import List, NamedTuple, Optional, Tuple, Type

import torch
from mmdet.models.dense_heads import AutoAssignHead
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.roi_heads.multi_instance_roi_head import MultiInstanceRoIHead
from mmdet.models.roi_heads.trident_roi_head import TridentRoIHead
from torch import Tensor, nn

from .dense import READERS, DenseReader
from .detr_heads import detr_head, is_detr

# they look standard, but one RoI has several sets of logits, or one image several branches
_SEVERAL_ANSWERS = (MultiInstanceRoIHead, TridentRoIHead)


def classifiers(detector: nn.Module) -> List[nn.Module]:
    """The classifying heads of a detector: of each stage of its RoI head, or its one other head.

    Raises:
        TypeError: if they cannot be distilled, see :func:`roi_stages`,
            :func:`dense_head` and :func:`detr_head`.
    """
    if is_detr(detector):
        return [detr_head(detector)]
    roi_head = getattr(detector, 'roi_head', None)
    if roi_head is None:
        return [dense_head(detector)]
    return [stage.bbox_head for stage in roi_stages(roi_head)]


def box_head(detector: nn.Module) -> Optional[nn.Module]:
    """The box head of any detector, of a cascade the first; None if it has none."""
    head = getattr(getattr(detector, 'roi_head', detector), 'bbox_head', None)
    return head[0] if isinstance(head, nn.ModuleList) else head


def num_classes(detector: nn.Module) -> int:
    """C of any detector's :func:`box_head`, without the background; 0 if it has none."""
    return getattr(box_head(detector), 'num_classes', 0)


class RoIStage(NamedTuple):
    """One classification of RoIs: what pools their features, and what classifies them."""
    extractor: nn.Module
    bbox_head: nn.Module


def roi_stages(roi_head: nn.Module) -> List[RoIStage]:
    """The stages of a RoI head: one, or several of a cascade.

    Supported are ``StandardRoIHead``, ``CascadeRoIHead`` and what derives from
    them, as long as logits are a function of the features and the RoIs alone:
    Faster, Mask, Cascade, Dynamic, Double-Head, PISA, Grid, Mask Scoring
    R-CNN, PointRend, with any RoI extractor, any neck, SABL's box head.

    Raises:
        TypeError: for any other head, naming it and saying why.
    """
    name = type(roi_head).__name__
    if not isinstance(roi_head, (StandardRoIHead, CascadeRoIHead)) or isinstance(
            roi_head, _SEVERAL_ANSWERS):
        raise TypeError(f'{name} cannot be distilled: it is no RoI head with one row of '
                        'bbox_head logits for each sampled RoI, as those of Faster, Mask and '
                        'Cascade R-CNN are')
    cascade = isinstance(roi_head, CascadeRoIHead)
    expected = ['self', 'stage', 'x', 'rois'] if cascade else ['self', 'x', 'rois']
    found = list(inspect.signature(type(roi_head)._bbox_forward).parameters)
    if found != expected:
        raise TypeError(f'{name} cannot be distilled: its RoI logits depend on '
                        f'{", ".join(sorted(set(found) - set(expected)))} beside the features '
                        'and the RoIs, so a teacher could not classify the same RoIs')
    stages = ([RoIStage(*pair) for pair in zip(
        roi_head.bbox_roi_extractor, roi_head.bbox_head, strict=True)] if cascade else
        [RoIStage(roi_head.bbox_roi_extractor, roi_head.bbox_head)])
    for stage in stages:
        if getattr(stage.bbox_head.loss_cls, 'custom_cls_channels', False):
            raise TypeError(f'{name} cannot be distilled: the logits of '
                            f'{type(stage.bbox_head.loss_cls).__name__} are not one for each '
                            'class and one for the background')
    return stages


def of_stage(roi_head: nn.Module, stage: int) -> Tuple[int, ...]:
    """The first arguments of a RoI head's forward functions: only a cascade's take the stage."""
    return (stage, ) if isinstance(roi_head, CascadeRoIHead) else ()


def dense_head(detector: nn.Module) -> nn.Module:
    """The head of a single-stage detector, one that classifies fixed locations.

    Supported are the heads that :func:`dense_reader` knows.

    Raises:
        TypeError: for any other head or detector, naming it.
    """
    head = getattr(detector, 'bbox_head', None)
    dense_reader(detector if head is None else head)
    return head


def dense_reader(head: nn.Module) -> Type[DenseReader]:
    """What reads a dense head: its logits and targets at every location.

    Raises:
        TypeError: if it computes its losses as none of the known families
            does, naming it.
    """
    for reader in READERS:
        if reader.reads(head):
            return reader
    raise TypeError(f'{type(head).__name__} cannot be distilled: its losses are computed as those '
                    'of no dense head that is known here (RetinaHead, FCOSHead, ATSSHead, GFLHead, '
                    'RTMDetHead, RTMDetInsHead, YOLOXHead, TOODHead, VFNetHead, PAAHead, DDODHead, '
                    'YOLOFHead, AutoAssignHead), so its logits and weights are not known for each '
                    'location')


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


def feature_width(head: nn.Module) -> int:
    """D, the width of what the classifying layer of a box head receives.

    Raises:
        TypeError: if it has no linear layer ``fc_cls``.
    """
    width = getattr(getattr(head, 'fc_cls', None), 'in_features', None)
    if width is None:
        raise TypeError(f'the features of {type(head).__name__} cannot be compared: it has no '
                        'linear layer fc_cls that receives them')
    return width


def is_object(labels: Tensor, num_classes: int) -> Tensor:
    """(N,), bool: which labels are of objects, not of the background or ignored."""
    return (labels >= 0) & (labels < num_classes)


def has_sigmoids(head: nn.Module) -> bool:
    """Whether a classifier ends in sigmoids."""
    return bool(getattr(head.loss_cls, 'use_sigmoid', False))


def num_logits(head: nn.Module) -> int:
    """Logits that are compared for each RoI: C, and one for the background of a softmax."""
    return head.num_classes + (not has_sigmoids(head))


def class_logits(head: nn.Module, cls_score: Tensor) -> Tensor:
    """(N, :func:`num_logits`), what is compared of a box head's (N, C+1) logits.

    mmdet's box heads have a logit for the background in front of sigmoids, too. It is left
    out, so that these logits are of classes only, as those of single-stage heads are.
    """
    return cls_score[:, :num_logits(head)] if has_sigmoids(head) else cls_score
