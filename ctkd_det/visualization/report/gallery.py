"""Images on which two detectors differ most, and who found what on them."""
import os
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from pycocotools.coco import COCO

from .box_labels import LARGE, SMALL, place_labels
from .matching import GroundTruth, Matches, ground_truth, match
from .pictures import data_uri, read_picture
from .predictions import Predictions
from .runs import Missing

# fills a window when it is enlarged
_LARGEST_SIDE = 960
# letters of a picture's path, which fit beside the number in a narrow window
_LONGEST = 60


def most_different(one: Sequence[float], other: Sequence[float]) -> List[int]:
    """Indices of the images, those first on which two detectors' qualities differ most."""
    gaps = np.abs(np.subtract(one, other))
    return np.argsort(-gaps, kind='stable').tolist()


def build_gallery(columns: Dict[str, Predictions], coco: COCO, one: str, other: Optional[str],
                  number: int, score_thr: float) -> Tuple[List[dict], List[str]]:
    """What the template draws, an entry for each image.

    Args:
        columns (dict[str, Predictions]): Title -> detections, all on the same
            images.
        coco (COCO): The annotations.
        one (str): Images are chosen where this column ...
        other (str, optional): ... differs most from this one, or, if None,
            from the ground truth.
        number (int): How many images, at most: those without a difference
            that can be read are left out.
        score_thr (float): Less confident detections count as not made.

    Returns:
        tuple: The entries, and why images among those chosen are not shown.
    """
    first = next(iter(columns.values()))
    qualities = {title: [_matched(p, coco, i, score_thr)[1].quality
                         for i in range(len(p.image_ids))] for title, p in columns.items()}
    against = qualities[other] if other else [1.0] * len(first.image_ids)
    rows: List[dict] = []
    notes: List[str] = []
    gaps = [ours - theirs for ours, theirs in zip(qualities[one], against, strict=True)]
    chosen = [i for i in most_different(qualities[one], against)[:number] if round(gaps[i], 2)]
    if gaps and not chosen:
        notes.append(f'In quality {one} does not differ from {other or "the ground truth"} on any '
                     'of these images.')
    for index in chosen:
        try:
            picture = read_picture(first, index)
        except Missing as missing:
            notes.append(str(missing))
            continue
        height, width = picture.shape[:2]
        objects = ground_truth(coco, first, index)
        panels = [dict(title='ground truth', quality=None, boxes=_boxes(
            objects.bboxes, objects.labels, None, ['object'] * len(objects.labels), first))]
        panels += [_panel(title, p, coco, index, score_thr) for title, p in columns.items()]
        for panel in panels:
            place_labels(panel['boxes'], width, height)
        rows.append(dict(
            id=index, name=_name(first, index), uri=data_uri(picture, _LARGEST_SIDE),
            width=width, height=height, panels=panels, gap=gaps[index],
            fonts={size: round(width * share, 2) for size, share in (SMALL, LARGE)}))
    return rows, notes


def _name(predictions: Predictions, index: int) -> str:
    """The image's path in the data folder; of a long one the end, which tells images apart."""
    path = os.path.relpath(predictions.paths[index], predictions.image_folder).replace(os.sep, '/')
    return path if len(path) <= _LONGEST else f'…{path[1 - _LONGEST:]}'


def _matched(predictions: Predictions, coco: COCO, index: int,
             score_thr: float) -> Tuple[tuple, Matches, GroundTruth]:
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
