"""What a detector says of annotated objects: logits of their classes.

A RoI head is asked about the annotated boxes. A single-stage detector or a
DETR cannot be asked: of its locations or queries whose own box fits the
object, the most confident one answers, which NMS would keep.
"""
from typing import Any, Mapping, Sequence, Tuple

import torch
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps
from torch import Tensor, nn

from ...models.boxes import location_boxes
from ...models.dense import flat
from ...models.detr_heads import is_detr
from ...models.heads import class_logits, classifiers, dense_reader, has_sigmoids
from ...models.queries import last_layer
from .matching import FOUND_IOU
from .runs import Missing


def one_classifier(name: str, model: nn.Module) -> nn.Module:
    """The head that says of an object what it is.

    Raises:
        Missing: if a detector, of this name, has none that is known, or
            several, the stages of a cascade.
    """
    head = getattr(model, 'roi_head', getattr(model, 'bbox_head', model))
    try:
        found = classifiers(model)
    except TypeError as error:
        raise Missing(f'{name} is not shown: which logits a {type(head).__name__} has for an '
                      'object is not known.') from error
    if len(found) > 1:
        raise Missing(f'{name} is not shown: a {type(head).__name__} classifies each object '
                      f'{len(found)} times, with refined boxes.')
    return found[0]


@torch.no_grad()
def answer(model: nn.Module, item: dict, boxes: Tensor) -> Tensor:
    """Logits of the objects of one image.

    Args:
        model (nn.Module): With a :func:`one_classifier`, in evaluation mode.
        item (dict): The image as a validation data set gives it.
        boxes (Tensor): Of the R objects, (R, 4) in pixels of the file.

    Returns:
        Tensor: (R, C+1), or (R, C) of a head with sigmoids.
    """
    data = model.data_preprocessor(dict(inputs=[item['inputs']],
                                        data_samples=[item['data_samples']]), False)
    images, samples = data['inputs'], data['data_samples']
    boxes = (boxes * boxes.new_tensor(samples[0].scale_factor).repeat(2)).to(images.device)
    corner = boxes.new_tensor(samples[0].img_shape[::-1]).repeat(2)
    features = model.extract_feat(images)
    if is_detr(model):
        logits, own = _queries(model, model.forward_transformer(features, samples))
        own = own * corner
    elif hasattr(model, 'roi_head'):
        rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], dim=1)
        return class_logits(classifiers(model)[0],
                            model.roi_head._bbox_forward(features, rois)['cls_score'])
    else:
        logits, own = _locations(model.bbox_head, features)
    # annotations end with the image, and so do detections
    overlaps = bbox_overlaps(boxes, torch.minimum(own.clamp(min=0), corner))
    return logits[_answering(overlaps, _confidences(model.bbox_head, logits))]


def _answering(overlaps: Tensor, confidences: Tensor) -> Tensor:
    """Which of N locations answers for each object, (R,), from IoUs (R, N) and (N,)."""
    # where none fits, the one that fits best
    return torch.where(overlaps >= FOUND_IOU, confidences, overlaps - 1).argmax(1)


def _confidences(head: nn.Module, logits: Tensor) -> Tensor:
    """Largest probability of a class, (N,)."""
    p = logits.sigmoid() if has_sigmoids(head) else logits.softmax(1)[:, :-1]
    return p.amax(1)


def _locations(head: nn.Module, features: Sequence[Tensor]) -> Tuple[Tensor, Tensor]:
    """Logits (N, C) and boxes (N, 4) of all locations."""
    outputs = head(features)
    logits = flat(dense_reader(head).logits(outputs), head.cls_out_channels)
    return logits, location_boxes(head, outputs, torch.ones_like(logits[:, 0], dtype=torch.bool))


def _queries(detr: nn.Module, found: Mapping[str, Any]) -> Tuple[Tensor, Tensor]:
    """Logits (Q, C) and boxes (Q, 4), in shares of the image, of what its transformer found."""
    logits, boxes = last_layer(detr, found['hidden_states'], found['references'])
    return logits[0], bbox_cxcywh_to_xyxy(boxes[0])
