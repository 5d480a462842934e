"""Detections as arrays, and their mAP by pycocotools."""
from dataclasses import dataclass
from typing import List, Optional

import numpy as np
from pycocotools import mask as rle
from pycocotools.cocoeval import COCOeval

from ctkd_det.evaluation.precision import mean_precision
from ctkd_det.evaluation.silence import silent


@dataclass(frozen=True)
class Detections:
    """N detections of one image.

    Attributes:
        boxes: (N, 4), x1, y1, x2, y2 in pixels of the image file.
        scores: (N,).
        labels: (N,).
        masks: (N, H, W), truth values, if it predicts any.
    """
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: Optional[np.ndarray] = None

    def __len__(self) -> int:
        return len(self.boxes)


def mean_ap(found: List[Detections], images, kind: str) -> float:
    """COCO's mAP in points (0 to 100) on these images.

    Args:
        found (list[Detections]): Of each image.
        images (Images): The images, with their annotations.
        kind (str): 'bbox' or 'segm'.

    Returns:
        float: 0 if nothing was found; not a number if nothing is annotated.
    """
    dataset = images.dataset
    ids = [dataset.get_data_info(i)['img_id'] for i in images.indices]
    rows = [row for image, detections in zip(ids, found, strict=True)
            for row in _rows(image, detections, dataset.cat_ids, kind)]
    if not rows:
        return 0.0
    truth = images.annotations
    with silent():
        evaluation = COCOeval(truth, truth.loadRes(rows), kind)
        evaluation.params.imgIds = ids
        evaluation.params.catIds = list(dataset.cat_ids)
        evaluation.evaluate()
        evaluation.accumulate()
    return 100 * mean_precision(evaluation.eval['precision'][:, :, :, 0, -1])


def _rows(image: int, found: Detections, cat_ids: List[int], kind: str) -> List[dict]:
    rows = []
    for i, (box, score, label) in enumerate(zip(found.boxes, found.scores, found.labels,
                                                strict=True)):
        x1, y1, x2, y2 = box.tolist()
        row = dict(image_id=image, category_id=cat_ids[int(label)], score=float(score),
                   bbox=[x1, y1, x2 - x1, y2 - y1])
        if kind == 'segm':
            row['segmentation'] = rle.encode(np.asfortranarray(found.masks[i].astype(np.uint8)))
            del row['bbox']
        rows.append(row)
    return rows
