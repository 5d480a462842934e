"""Images on which two detectors differ most, and who found what on them."""
import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image
from pycocotools.coco import COCO

from .predictions import Predictions

# an object is found by a box of its class that overlaps it by this IoU
_IOU = 0.5
_LARGEST_SIDE = 480


@dataclass
class Objects:
    """Ground truth of one image: boxes (n, 4) as x1, y1, x2, y2, and labels (n,)."""
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


def ground_truth(coco: COCO, predictions: Predictions, index: int) -> Objects:
    """The objects of an image, crowds left out."""
    labels = {cat: label for label, cat in enumerate(predictions.cat_ids)}
    image_id = predictions.image_ids[index]
    objects = [a for a in coco.loadAnns(coco.getAnnIds(imgIds=image_id, iscrowd=False))
               if a['category_id'] in labels]
    boxes = np.array([a['bbox'] for a in objects], dtype=float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Objects(boxes, np.array([labels[a['category_id']] for a in objects], dtype=int))


def match(bboxes: np.ndarray, labels: np.ndarray, scores: np.ndarray,
          objects: Objects) -> Matches:
    """Match detections, the most confident first, each to the free object it overlaps most."""
    overlaps = iou(bboxes, objects.bboxes)
    overlaps[labels[:, None] != objects.labels[None]] = 0
    right, found, total = np.zeros(len(bboxes), bool), np.zeros(len(objects.labels), bool), 0.0
    for i in np.argsort(-scores, kind='stable'):
        free = np.where(found, 0, overlaps[i])
        if free.size and free.max() >= _IOU:
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


def choose(one: Sequence[float], other: Sequence[float], number: int) -> List[int]:
    """Indices of the images on which two detectors' qualities differ most."""
    gaps = np.abs(np.subtract(one, other))
    return np.argsort(-gaps, kind='stable')[:number].tolist()


def build_gallery(columns: Dict[str, Predictions], coco: COCO, one: str,
                  other: Optional[str], number: int, score_thr: float) -> List[dict]:
    """What the template draws, an entry for each image.

    Args:
        columns (dict[str, Predictions]): Title -> detections, all on the same
            images.
        coco (COCO): The annotations.
        one (str): Images are chosen where this column ...
        other (str, optional): ... differs most from this one, or, if None,
            from the ground truth.
        number (int): How many images.
        score_thr (float): Less confident detections count as not made.
    """
    first = next(iter(columns.values()))
    qualities = {title: [_matched(p, coco, i, score_thr)[1].quality
                         for i in range(len(p.image_ids))] for title, p in columns.items()}
    against = qualities[other] if other else [1.0] * len(first.image_ids)
    rows = []
    for index in choose(qualities[one], against, number):
        if not Path(first.paths[index]).exists():
            continue
        objects = ground_truth(coco, first, index)
        uri, (width, height) = data_uri(Image.open(first.paths[index]))
        panels = [dict(title='ground truth', quality=None, boxes=_boxes(
            objects.bboxes, objects.labels, None, ['object'] * len(objects.labels), first))]
        panels += [_panel(title, p, coco, index, score_thr) for title, p in columns.items()]
        rows.append(dict(id=index, name=Path(first.paths[index]).name, uri=uri, width=width,
                         height=height,
                         panels=[_place_labels(p, width, height) for p in panels],
                         gap=qualities[one][index] - against[index]))
    return rows


def _matched(predictions: Predictions, coco: COCO, index: int,
             score_thr: float) -> Tuple[tuple, Matches, Objects]:
    bboxes, labels, scores = predictions.of(index)
    kept = scores >= score_thr
    detections = (bboxes[kept], labels[kept], scores[kept])
    objects = ground_truth(coco, predictions, index)
    return detections, match(*detections, objects), objects


def _panel(title: str, predictions: Predictions, coco: COCO, index: int,
           score_thr: float) -> dict:
    (bboxes, labels, scores), matches, objects = _matched(predictions, coco, index, score_thr)
    kinds = ['right' if right else 'wrong' for right in matches.right]
    missed = ~matches.found
    boxes = _boxes(objects.bboxes[missed], objects.labels[missed], None,
                   ['missed'] * int(missed.sum()), predictions)
    return dict(title=title, quality=matches.quality,
                boxes=boxes + _boxes(bboxes, labels, scores, kinds, predictions))


def _boxes(bboxes, labels, scores, kinds, predictions: Predictions) -> List[dict]:
    return [dict(x=round(float(x1), 1), y=round(float(y1), 1), w=round(float(x2 - x1), 1),
                 h=round(float(y2 - y1), 1), kind=kind, name=predictions.classes[label],
                 score=None if scores is None else float(scores[i]))
            for i, ((x1, y1, x2, y2), label, kind) in enumerate(
                zip(bboxes, labels, kinds, strict=True))]


def _place_labels(panel: dict, width: int, height: int) -> dict:
    """Where each box's name goes: inside the picture, wrong boxes' below, all others' above."""
    line = width / 18
    for box in panel['boxes']:
        at_right = box['x'] > 0.6 * width
        if box['kind'] == 'wrong':
            y = min(box['y'] + box['h'] + line, height - line / 4)
        else:
            y = max(box['y'] - line / 5, line)
        box['label'] = dict(anchor='end' if at_right else 'start', y=round(y, 1),
                            x=min(box['x'] + box['w'], width) if at_right else max(box['x'], 0))
    return panel


def data_uri(image: Image.Image, largest_side: int = _LARGEST_SIDE) -> Tuple[str, Tuple[int, int]]:
    """The image as a small JPEG in a data URI, and its size before it was made small."""
    size = image.size
    small = image.convert('RGB')
    small.thumbnail((largest_side, largest_side))
    buffer = io.BytesIO()
    small.save(buffer, 'JPEG', quality=88)
    return 'data:image/jpeg;base64,' + base64.b64encode(buffer.getvalue()).decode(), size
