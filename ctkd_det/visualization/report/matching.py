"""Which detections are right, which objects are found, and how good that is."""
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO

from .predictions import Predictions

# an object is found by a box of its class that overlaps it by this IoU
FOUND_IOU = 0.5


@dataclass
class GroundTruth:
    """Objects of one image: boxes (n, 4) as x1, y1, x2, y2, and labels (n,)."""
    bboxes: np.ndarray
    labels: np.ndarray


@dataclass
class Matches:
    """Which detections (k,) are right and which objects (n,) found, and their mean worth.

    ``quality`` is the sum of the matches' IoU divided by (matches + half of
    the wrong detections + half of the missed objects): the panoptic quality
    ("Panoptic Segmentation", CVPR 2019, eq. 1) of boxes, 1 for an image
    without objects and detections.
    """
    right: np.ndarray
    found: np.ndarray
    quality: float


def ground_truth(coco: COCO, predictions: Predictions, index: int) -> GroundTruth:
    """The objects of an image, crowds left out."""
    labels = {cat: label for label, cat in enumerate(predictions.cat_ids)}
    image_id = predictions.image_ids[index]
    # in a list: pycocotools takes a text for a list of its letters
    objects = [a for a in coco.loadAnns(coco.getAnnIds(imgIds=[image_id], iscrowd=False))
               if a['category_id'] in labels]
    boxes = np.array([a['bbox'] for a in objects], dtype=float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return GroundTruth(boxes, np.array([labels[a['category_id']] for a in objects], dtype=int))


def match(bboxes: np.ndarray, labels: np.ndarray, scores: np.ndarray,
          objects: GroundTruth) -> Matches:
    """Match detections, the most confident first, each to the free object it overlaps most."""
    overlaps = iou(bboxes, objects.bboxes)
    overlaps[labels[:, None] != objects.labels[None]] = 0
    right, found, total = np.zeros(len(bboxes), bool), np.zeros(len(objects.labels), bool), 0.0
    for i in np.argsort(-scores, kind='stable'):
        free = np.where(found, 0, overlaps[i])
        if free.size and free.max() >= FOUND_IOU:
            right[i] = found[free.argmax()] = True
            total += free.max()
    errors = (~right).sum() + (~found).sum()
    quality = total / (right.sum() + errors / 2) if len(right) + len(found) else 1.0
    return Matches(right, found, float(quality))


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (k, 4) and (n, 4), shape (k, n)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (a, b)]
    return common / np.maximum(areas[0][:, None] + areas[1][None] - common, 1e-9)
