"""Metrics of kept predictions where pycocotools has surprises."""
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric

from ctkd_det.visualization.report.evaluation import evaluate
from ctkd_det.visualization.report.metrics import COCO
from ctkd_det.visualization.report.predictions import Predictions


def one_image(file, categories, boxes, cat_ids) -> Predictions:
    """One image, all of whose boxes (M, 4) as x1, y1, x2, y2 are annotated; none is found yet."""
    file.write_text(json.dumps(dict(
        images=[dict(id=0, width=300, height=300, file_name='0.png')], categories=categories,
        annotations=[dict(id=i, image_id=0, category_id=cat_id, iscrowd=0,
                          bbox=[x1, y1, x2 - x1, y2 - y1], area=(x2 - x1) * (y2 - y1))
                     for i, ((x1, y1, x2, y2), cat_id) in enumerate(
                         zip(boxes.tolist(), cat_ids, strict=True), 1)])))
    return Predictions(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0, int), np.zeros(0), [0],
                       ['0.png'], [c['name'] for c in categories], [c['id'] for c in categories],
                       str(file), str(file.parent), 1)


def test_a_class_has_its_own_value_whatever_the_order_of_the_ids(tmp_path):
    """The cat is found and the dog is not."""
    boxes = np.array([[10, 10, 30, 30], [50, 10, 70, 30]], float)
    predictions = one_image(tmp_path / 'order.json', [dict(id=2, name='cat'), dict(
        id=1, name='dog')], boxes, [2, 1])
    found = replace(predictions, image=np.zeros(1, int), bboxes=boxes[:1], labels=np.array([0]),
                    scores=np.ones(1))
    assert evaluate(found).per_class == dict(cat=pytest.approx(100), dog=0)


def test_where_nothing_is_found_a_class_without_objects_has_no_ap(tmp_path):
    predictions = one_image(tmp_path / 'none.json', [dict(id=2, name='cat'), dict(
        id=1, name='dog')], np.array([[10, 10, 30, 30]], float), [2])
    assert evaluate(predictions).per_class == dict(cat=0, dog=None)


def test_more_than_100_detections_on_an_image_count_as_in_mmdet(tmp_path):
    boxes = np.array([[20 * (i % 15), 20 * (i // 15)] for i in range(150)], float)
    boxes = np.concatenate([boxes, boxes + 15], 1)
    predictions = one_image(tmp_path / 'many.json', [dict(id=1, name='cat')], boxes, [1] * 150)
    found = replace(predictions, image=np.zeros(150, int), bboxes=boxes,
                    labels=np.zeros(150, int), scores=np.linspace(1, .5, 150))
    ours = evaluate(found)
    metric = CocoMetric(ann_file=predictions.ann_file, classwise=True)
    metric.dataset_meta = dict(classes=['cat'])
    metric.process({}, [dict(img_id=0, ori_shape=(300, 300), pred_instances=dict(
        bboxes=torch.from_numpy(boxes), labels=torch.zeros(150).long(),
        scores=torch.linspace(1, .5, 150)))])
    theirs = metric.evaluate(size=1)
    assert theirs['coco/bbox_mAP'] < .7 and theirs['coco/bbox_mAP_50'] == 1
    for title, name in COCO.items():
        expected = 100 * theirs[f'coco/{name}']
        assert ours.metrics[title] == (pytest.approx(expected, abs=.051) if expected >= 0 else None)
    assert ours.per_class['cat'] == pytest.approx(100 * theirs['coco/cat_precision'], abs=.051)
