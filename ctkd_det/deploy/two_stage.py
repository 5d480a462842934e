"""Faster, Mask and Cascade R-CNN."""
from typing import List, Optional, Sequence, Tuple

import torch
import torchvision
from mmcv.ops import RoIAlign
from mmdet.models.roi_heads import (
    CascadeRoIHead,
    ConvFCBBoxHead,
    FCNMaskHead,
    Shared2FCBBoxHead,
    Shared4Conv1FCBBoxHead,
    SingleRoIExtractor,
    StandardRoIHead,
)
from mmdet.models.task_modules import DeltaXYWHBBoxCoder
from torch import Tensor, nn

from .boxes import Size, decode
from .dense import check_rpn, propose
from .errors import (
    NotDeployable,
    require,
    require_known_outputs,
    require_limits,
    require_plain_nms,
)
from .suppression import Candidates, Kept, size_of, suppress

BBOX_HEADS = (Shared2FCBBoxHead, Shared4Conv1FCBBoxHead, ConvFCBBoxHead)


def check_two_stage(model: nn.Module) -> None:
    """See that a two-stage detector can be exported.

    Raises:
        NotDeployable: if not; the message names the part.
    """
    check_rpn(model.rpn_head, model.test_cfg.rpn)
    roi_head = model.roi_head
    require(roi_head, (StandardRoIHead, CascadeRoIHead), 'roi_head')
    require_plain_nms(roi_head.test_cfg, 'test_cfg.rcnn')
    require_limits(roi_head.test_cfg, ('max_per_img', ), 'test_cfg.rcnn')
    if roi_head.with_shared_head:
        raise NotDeployable('roi_head.shared_head cannot be exported to ONNX')
    for extractor, head in _stages(roi_head.bbox_roi_extractor, roi_head.bbox_head):
        require(head, BBOX_HEADS, 'roi_head.bbox_head')
        require(head.bbox_coder, (DeltaXYWHBBoxCoder, ), 'roi_head.bbox_head.bbox_coder')
        require_known_outputs(head.loss_cls, 'roi_head.bbox_head.loss_cls')
        if not (head.with_cls and head.with_reg):
            raise NotDeployable('roi_head.bbox_head without classes or boxes cannot be exported')
        _check_extractor(extractor, 'roi_head.bbox_roi_extractor')
    if roi_head.with_mask:
        for extractor, head in _stages(roi_head.mask_roi_extractor, roi_head.mask_head):
            require(head, (FCNMaskHead, ), 'roi_head.mask_head')
            _check_extractor(extractor, 'roi_head.mask_roi_extractor')


def _check_extractor(extractor: nn.Module, what: str) -> None:
    require(extractor, (SingleRoIExtractor, ), what)
    for layer in extractor.roi_layers:
        require(layer, (RoIAlign, ), f'{what}.roi_layer')
        if layer.pool_mode != 'avg':
            raise NotDeployable(f'{what}.roi_layer with pool_mode={layer.pool_mode!r} cannot be '
                                'exported to ONNX')


def _stages(extractor, head) -> List[Tuple[nn.Module, nn.Module]]:
    """Pairs of RoI extractor and head; one if the RoI head is no cascade."""
    if isinstance(head, nn.ModuleList):
        return list(zip(extractor, head, strict=True))
    return [(extractor, head)]


def detect_two_stage(model: nn.Module, features: Sequence[Tensor],
                     size: Size) -> Tuple[Kept, Optional[Tensor]]:
    """Detections of a two-stage detector.

    Returns:
        tuple: Detections, and for each, if there is a mask head, probabilities
        (B, D, h, w) on a grid that covers its box.
    """
    proposals = propose(model.rpn_head, features, size, model.test_cfg.rpn)
    roi_head = model.roi_head
    found = _classify(roi_head, features, proposals, size)
    kept = suppress(found, roi_head.test_cfg.nms, roi_head.test_cfg.max_per_img)
    return kept, _masks(roi_head, features, kept) if roi_head.with_mask else None


def _classify(roi_head: nn.Module, features: Sequence[Tensor], proposals: Kept,
              size: Size) -> Candidates:
    boxes, logits = proposals.boxes, []
    stages = _stages(roi_head.bbox_roi_extractor, roi_head.bbox_head)
    for stage, (extractor, head) in enumerate(stages, 1):
        of_stage, deltas = head(_pool(extractor, features, boxes))
        of_stage = _per_image(of_stage, boxes)
        deltas = _per_image(deltas, boxes)
        groups = deltas.reshape(*deltas.shape[:2], -1, 4)  # one box, or one for each class
        logits.append(of_stage)
        if stage < len(stages):
            if not head.reg_class_agnostic:
                best = of_stage[..., :-1].argmax(-1)[..., None, None].expand(-1, -1, 1, 4)
                groups = groups.gather(2, best)
            boxes = decode(head.bbox_coder, boxes, groups[..., 0, :], size)
    boxes = decode(stages[-1][1].bbox_coder, boxes[:, :, None], groups, size)
    scores = (sum(logits) / len(logits)).softmax(-1)[..., :-1]
    labels = torch.arange(scores.shape[-1]).expand_as(scores)
    boxes = boxes.expand(-1, -1, scores.shape[-1], -1)
    valid = (scores > roi_head.test_cfg.score_thr) & (proposals.labels >= 0)[..., None]
    return Candidates(boxes.flatten(1, 2), scores.flatten(1), labels.flatten(1), valid.flatten(1))


def _masks(roi_head: nn.Module, features: Sequence[Tensor], kept: Kept) -> Tensor:
    probabilities = []
    for extractor, head in _stages(roi_head.mask_roi_extractor, roi_head.mask_head):
        masks = head(_pool(extractor, features, kept.boxes)).sigmoid()
        labels = kept.labels.clamp(min=0).flatten()
        if head.class_agnostic:
            labels = torch.zeros_like(labels)
        index = labels[:, None, None, None].expand(-1, 1, *masks.shape[2:])
        probabilities.append(_per_image(masks.gather(1, index)[:, 0], kept.boxes))
    return sum(probabilities) / len(probabilities)


def _per_image(x: Tensor, boxes: Tensor) -> Tensor:
    """(B * P, ...) as (B, P, ...), for boxes (B, P, 4)."""
    return x.reshape(size_of(boxes, 0), size_of(boxes, 1), *x.shape[1:])


def _pool(extractor: nn.Module, features: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """RoIAlign of boxes (B, P, 4), each on the level of its size: (B * P, C, h, w)."""
    images = torch.arange(size_of(boxes, 0)).to(boxes)[:, None, None]
    rois = torch.cat([images.expand(-1, boxes.shape[1], 1), boxes], 2).flatten(0, 1)
    layers = extractor.roi_layers
    levels = extractor.map_roi_levels(rois, len(layers))
    pooled, order = [], []
    for level, layer in enumerate(layers):
        rows = (levels == level).nonzero()[:, 0]
        # not mmcv's layer: torchvision's operator has a symbol in ONNX
        pooled.append(torchvision.ops.roi_align(
            features[level], rois[rows], layer.output_size, layer.spatial_scale,
            layer.sampling_ratio, layer.aligned))
        order.append(rows)
    return torch.cat(pooled)[torch.cat(order).argsort()]
