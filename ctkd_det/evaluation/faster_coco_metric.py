"""COCO metrics by faster-coco-eval."""
from tempfile import TemporaryDirectory
from typing import Dict

import numpy as np
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.fileio import load
from mmengine.logging import MMLogger

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
    rounded to three digits. Needs ``pip install faster-coco-eval``.

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
            if predictions[metric]:
                values.update(self._evaluate(metric, predictions[metric]))
            else:
                MMLogger.get_current_instance().error(
                    f'no {metric} detection in the whole data set')
        return values

    def _evaluate(self, metric: str, predictions: list) -> Dict[str, float]:
        from faster_coco_eval import COCO, COCOeval_faster
        if metric == 'segm':  # small, medium and large by the mask's area, not by the box's
            predictions = [{k: v for k, v in p.items() if k != 'bbox'} for p in predictions]
        truth = COCO(self._coco_api.dataset)
        evaluation = COCOeval_faster(truth, truth.loadRes(predictions), metric)
        evaluation.params.catIds, evaluation.params.imgIds = self.cat_ids, self.img_ids
        evaluation.params.maxDets, evaluation.params.iouThrs = self.proposal_nums, self.iou_thrs
        evaluation.run()
        values = {f'{metric}_{name}': float(value)
                  for name, value in zip(STATS, evaluation.stats[:6], strict=True)}
        if self.classwise:
            values.update(self._of_classes(evaluation.eval['precision']))
        return values

    def _of_classes(self, precision: np.ndarray) -> Dict[str, float]:
        """``NAME_precision`` from (IoU, recall, class, area, detections)."""
        values = {}
        for index, category in enumerate(self._coco_api.loadCats(self.cat_ids)):
            known = precision[:, :, index, 0, -1]
            known = known[known > -1]
            values[f'{category["name"]}_precision'] = float(known.mean()) if known.size else np.nan
        return values
