"""Which heads can be distilled, and where their logits come from."""
import inspect
from typing import List, NamedTuple, Optional, Tuple, Type

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
