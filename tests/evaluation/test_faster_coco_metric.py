"""FasterCocoMetric: pycocotools' numbers, by another program."""
import json

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric

import ctkd_det  # noqa: F401
from ctkd_det.evaluation import FasterCocoMetric

CLASSES = ('a', 'b', 'c')


@pytest.fixture
def truth(tmp_path):
    """12 images with 4 boxes each, of all three of COCO's sizes, one a crowd; one class unused."""
    rng = np.random.default_rng(0)
    annotations = []
    for image in range(12):
        for _ in range(4):
            x, y = rng.uniform(0, 100, 2).tolist()
            w, h = rng.choice([20.0, 60.0, 150.0], 2).tolist()
            annotations.append(dict(
                id=len(annotations) + 1, image_id=image, category_id=int(rng.integers(2)),
                bbox=[x, y, w, h], area=w * h, iscrowd=int(len(annotations) == 5)))
    file = tmp_path / 'truth.json'
    file.write_text(json.dumps(dict(
        images=[dict(id=i, height=300, width=300, file_name=f'{i}.png') for i in range(12)],
        annotations=annotations,
        categories=[dict(id=i, name=name) for i, name in enumerate(CLASSES)])))
    return file


def predictions(truth, number=10):
    """The true boxes displaced by up to a fifth, with random scores, and some classes wrong."""
    rng = np.random.default_rng(1)
    annotations = json.loads(truth.read_text())['annotations']
    for image in range(12):
        boxes, labels = [], []
        for a in (a for a in annotations if a['image_id'] == image):
            x, y, w, h = np.array(a['bbox']) * rng.uniform(.9, 1.1, 4)
            boxes.append([x, y, x + w, y + h])
            labels.append(a['category_id'] if rng.uniform() < .8 else 2)
        yield dict(img_id=image, ori_shape=(300, 300), pred_instances=dict(
            bboxes=torch.tensor(np.array(boxes)[:number]).float().reshape(-1, 4),
            scores=torch.tensor(rng.uniform(0, 1, 4)[:number]).float(),
            labels=torch.tensor(labels[:number])))


def evaluate(metric_class, truth, samples, **kwargs):
    metric = metric_class(ann_file=str(truth), **kwargs)
    metric.dataset_meta = dict(classes=CLASSES)
    for sample in samples:
        metric.process({}, [sample])
    return metric.evaluate(size=12)


def test_equals_pycocotools(truth):
    theirs = evaluate(CocoMetric, truth, predictions(truth), classwise=True)
    ours = evaluate(FasterCocoMetric, truth, predictions(truth), classwise=True)
    assert 0.1 < theirs['coco/bbox_mAP'] < 0.9
    assert theirs.keys() <= ours.keys()
    for key, value in theirs.items():
        # CocoMetric rounds to three digits
        assert ours[key] == pytest.approx(value, abs=5.01e-4, nan_ok=True), key
    assert ours['coco/bbox_mAP'] != theirs['coco/bbox_mAP']


def test_no_detection_at_all(truth):
    assert evaluate(FasterCocoMetric, truth, predictions(truth, number=0)) == {}


@pytest.mark.parametrize('unfit', [dict(metric='proposal'), dict(metric_items=['mAP'])])
def test_refuses_what_it_cannot_do(truth, unfit):
    with pytest.raises(ValueError, match='use CocoMetric'):
        FasterCocoMetric(ann_file=str(truth), **unfit)
    with pytest.raises(ValueError, match='no ann_file'):
        FasterCocoMetric()
