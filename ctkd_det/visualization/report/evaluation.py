"""COCO's metrics from kept predictions."""
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Dict, Optional

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ...evaluation.precision import mean_precision
from ...evaluation.silence import silent
from .metrics import COCO as COCO_METRICS
from .metrics import class_names
from .predictions import Predictions
from .runs import Missing, TrainedRun

# CocoMetric's: pycocotools takes the mAP at 100 detections an image, and all else at the last
_MAX_DETS = (100, 300, 1000)


@dataclass
class Evaluation:
    """Metrics in %, None where there is nothing to measure.

    Attributes:
        metrics: By the names of :data:`ctkd_det.visualization.report.metrics.COCO`.
        per_class: AP by class.
    """
    metrics: Dict[str, Optional[float]]
    per_class: Dict[str, Optional[float]]


def annotations(ann_file: str) -> COCO:
    """The annotation file.

    Raises:
        Missing: if it cannot be read.
    """
    return _annotations(os.path.abspath(ann_file))


@lru_cache(maxsize=4)
def _annotations(ann_file: str) -> COCO:
    try:
        with silent():
            return COCO(ann_file)
    except (OSError, ValueError, AssertionError) as error:
        raise Missing(f'The annotations {ann_file} could not be read ({error}).') from error


def evaluate(predictions: Predictions) -> Evaluation:
    """Score predictions as mmdet's CocoMetric does, on the images they are of."""
    coco = annotations(predictions.ann_file)
    boxes = predictions.bboxes.copy()
    boxes[:, 2:] -= boxes[:, :2]
    results = [dict(image_id=predictions.image_ids[i], category_id=predictions.cat_ids[label],
                    bbox=box.tolist(), score=float(score))
               for i, label, box, score in zip(predictions.image, predictions.labels, boxes,
                                               predictions.scores, strict=True)]
    if not results:  # loadRes refuses an empty list; nothing found is 0, not unknown
        there = {box['category_id'] for box in coco.loadAnns(
            coco.getAnnIds(predictions.image_ids, iscrowd=False))}
        return Evaluation(dict.fromkeys(COCO_METRICS, 0.0), {
            name: 0.0 if cat_id in there else None for name, cat_id in zip(
                predictions.classes, predictions.cat_ids, strict=True)})
    with silent():
        scoring = COCOeval(coco, coco.loadRes(results), 'bbox')
        scoring.params.imgIds = predictions.image_ids
        scoring.params.catIds = predictions.cat_ids
        scoring.params.maxDets = list(_MAX_DETS)
        scoring.evaluate()
        scoring.accumulate()
        scoring.summarize()
    # (IoU, recall, class, area, detections); -1 where a class has no object
    precision = scoring.eval['precision'][:, :, :, 0, -1]
    # evaluate() sorts the ids, which need not ascend in the annotation file
    at = {cat_id: index for index, cat_id in enumerate(scoring.params.catIds)}
    per_class = {name: _percent(mean_precision(precision[:, :, at[cat_id]]))
                 for name, cat_id in zip(predictions.classes, predictions.cat_ids, strict=True)}
    stats = zip(COCO_METRICS, scoring.stats[:len(COCO_METRICS)], strict=True)
    return Evaluation({name: _percent(value) for name, value in stats}, per_class)


def logged_per_class(run: TrainedRun) -> Optional[Dict[str, Optional[float]]]:
    """AP by class of the last validation, if it ran with ``CocoMetric(classwise=True)``."""
    last = run.last_validation
    logged = {key: names for key, names in class_names(run.scalars).items()
              if run.scalars[key][0][-1] == last}
    if len({prefix for prefix, _ in logged.values()}) != 1:  # of several validation sets
        return None
    return {name: _percent(run.scalars[key][1][-1]) for key, (_, name) in logged.items()}


def _percent(value: float) -> Optional[float]:
    return 100 * float(value) if value >= 0 else None
