"""COCO metrics by faster-coco-eval."""
from tempfile import TemporaryDirectory
from typing import Dict, List

import numpy as np
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.fileio import load
from mmengine.logging import MMLogger

from .precision import mean_precision

STATS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


def _register_if_free(metric: type) -> type:
    """Register a metric, unless MMDetection has one of its name: onedl-mmdetection 3.5 does."""
    if metric.__name__ not in METRICS.module_dict:
        METRICS.register_module(module=metric)
    return metric


@_register_if_free
class FasterCocoMetric(CocoMetric):
    """:class:`mmdet.evaluation.CocoMetric`, evaluated by ``faster-coco-eval``.

    The same numbers under the same names several times sooner, and not
    rounded to three digits. Needs ``pip install faster-coco-eval``. There
    are three differences:

    - Where nothing is found, the metrics are 0. CocoMetric returns none, and
      mmengine then logs those of the validation before once more.
    - ``classwise`` goes by the categories' ids. CocoMetric gives classes
      each other's AP if the annotation file does not list ids in ascending
      order.
    - With both metrics, ``NAME_precision`` is the AP of boxes; CocoMetric's
      is that of the metric which ``metric`` names last.

    Args:
        *args, **kwargs: Those of ``CocoMetric``; ``metric`` is 'bbox' or
            'segm' or both, ``ann_file`` is needed.

    Raises:
        ValueError: if ``metric`` asks for proposals, ``ann_file`` is missing,
            or ``format_only`` or ``metric_items`` is given.
        ImportError: if faster-coco-eval is not installed.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        try:
            import faster_coco_eval  # noqa: F401
        except ImportError as error:
            raise ImportError('FasterCocoMetric needs: pip install faster-coco-eval') from error
        unfit = {'a proposal metric': not {'bbox', 'segm'}.issuperset(self.metrics),
                 'no ann_file': self._coco_api is None, 'format_only': self.format_only,
                 'metric_items': self.metric_items}
        for what, is_so in unfit.items():
            if is_so:
                raise ValueError(f'FasterCocoMetric cannot do with {what}; use CocoMetric')

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """COCO's six APs for each metric, and each class's AP with ``classwise``."""
        if self.cat_ids is None:
            self.cat_ids = self._coco_api.get_cat_ids(cat_names=self.dataset_meta['classes'])
        if self.img_ids is None:
            self.img_ids = self._coco_api.get_img_ids()
        with TemporaryDirectory() as folder:
            prefix = self.outfile_prefix or f'{folder}/results'
            files = self.results2json([prediction for _, prediction in results], prefix)
            predictions = {metric: load(files[metric]) for metric in self.metrics}
        values: Dict[str, float] = {}
        for metric in self.metrics:
            if not predictions[metric]:
                MMLogger.get_current_instance().error(
                    f'no {metric} detection in the whole data set')
            values.update(self._evaluate(metric, predictions[metric]))
        return values

    def _evaluate(self, metric: str, predictions: list) -> Dict[str, float]:
        from faster_coco_eval import COCO, COCOeval_faster
        if metric == 'segm':  # small, medium and large by the mask's area, not by the box's
            predictions = [{k: v for k, v in p.items() if k != 'bbox'} for p in predictions]
        truth = COCO(self._coco_api.dataset)
        found = truth.loadRes(predictions) if predictions else COCO(
            dict(self._coco_api.dataset, annotations=[]))  # older ones' loadRes wants a detection
        evaluation = COCOeval_faster(truth, found, metric)
        evaluation.params.catIds, evaluation.params.imgIds = self.cat_ids, self.img_ids
        evaluation.params.maxDets, evaluation.params.iouThrs = self.proposal_nums, self.iou_thrs
        evaluation.run()
        precision = evaluation.eval['precision']
        values = {f'{metric}_{name}': float(value)
                  for name, value in zip(STATS, evaluation.stats[:6], strict=True)}
        # pycocotools has 100 detections an image in the mAP, and the most in all else
        at_100 = np.array(evaluation.params.maxDets) == 100
        values[f'{metric}_mAP'] = mean_precision(precision[:, :, :, 0, at_100], nothing=-1)
        if self.classwise and metric == ('bbox' if 'bbox' in self.metrics else 'segm'):
            values.update(self._of_classes(precision, evaluation.params.catIds))
        return values

    def _of_classes(self, precision: np.ndarray, cat_ids: List[int]) -> Dict[str, float]:
        """``NAME_precision`` from (IoU, recall, class, area, detections), classes by id."""
        at = {cat_id: index for index, cat_id in enumerate(cat_ids)}
        return {f'{category["name"]}_precision':
                mean_precision(precision[:, :, at[category['id']], 0, -1])
                for category in self._coco_api.loadCats(self.cat_ids)}
