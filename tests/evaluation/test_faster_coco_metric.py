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
    metric.dataset_meta = dict(classes=[c['name'] for c in metric._coco_api.dataset['categories']])
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


def write_boxes(file, boxes, categories):
    """One image on which each of these (x, y, w, h, id of the category) is annotated."""
    file.write_text(json.dumps(dict(
        images=[dict(id=0, height=300, width=300, file_name='0.png')],
        annotations=[dict(id=i, image_id=0, category_id=cat, bbox=[x, y, w, h], area=w * h,
                          iscrowd=0, segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]])
                     for i, (x, y, w, h, cat) in enumerate(boxes, 1)],
        categories=categories)))
    return file


def found(boxes, labels):
    """The image of :func:`write_boxes` with these boxes found, (x, y, w, h)."""
    boxes = torch.tensor(boxes).float().reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return [dict(img_id=0, ori_shape=(300, 300), pred_instances=dict(
        bboxes=boxes, scores=torch.linspace(1, .5, len(boxes)), labels=torch.tensor(labels)))]


def test_more_than_100_detections_on_an_image(tmp_path):
    """pycocotools has 100 of them in the mAP, and 1000 in all else."""
    boxes = [(20 * (i % 15), 20 * (i // 15), 15, 15) for i in range(150)]
    file = write_boxes(tmp_path / 'truth.json', [(*box, 0) for box in boxes],
                       [dict(id=0, name='a')])
    samples = found(boxes, [0] * 150)
    theirs = evaluate(CocoMetric, file, samples, classwise=True)
    ours = evaluate(FasterCocoMetric, file, samples, classwise=True)
    assert theirs['coco/bbox_mAP'] < 0.7 and theirs['coco/bbox_mAP_50'] == 1
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(value, abs=5.01e-4, nan_ok=True), key


def test_a_class_has_its_own_value_whatever_the_order_of_the_ids(tmp_path):
    """CocoMetric gives it that of another, so the expected values are computed by hand."""
    boxes = [(10, 10, 20, 20), (50, 10, 20, 20)]
    file = write_boxes(tmp_path / 'truth.json', [(*boxes[0], 2), (*boxes[1], 1)],
                       [dict(id=2, name='a'), dict(id=1, name='b')])
    values = evaluate(FasterCocoMetric, file, found(boxes[:1], [0]), classwise=True)
    assert values['coco/a_precision'] == pytest.approx(1) and values['coco/b_precision'] == 0


def test_with_masks_classes_have_the_ap_of_their_boxes(tmp_path):
    boxes = [(10, 10, 20, 20)]
    file = write_boxes(tmp_path / 'truth.json', [(*boxes[0], 0)], [dict(id=0, name='a')])
    sample, = found(boxes, [0])
    sample['pred_instances']['masks'] = torch.zeros(1, 300, 300, dtype=torch.bool)
    values = evaluate(FasterCocoMetric, file, [sample], classwise=True, metric=['bbox', 'segm'])
    assert values['coco/bbox_mAP'] == pytest.approx(1) and values['coco/segm_mAP'] == 0
    assert values['coco/a_precision'] == pytest.approx(1)


def test_no_detection_at_all_is_0(truth):
    """An empty result would have mmengine log the validation before once more."""
    values = evaluate(FasterCocoMetric, truth, predictions(truth, number=0), classwise=True)
    assert values['coco/bbox_mAP'] == values['coco/bbox_mAP_50'] == values['coco/a_precision'] == 0
    assert np.isnan(values['coco/c_precision'])  # no object of it is annotated


@pytest.mark.parametrize('unfit', [dict(metric='proposal'), dict(metric_items=['mAP'])])
def test_refuses_what_it_cannot_do(truth, unfit):
    with pytest.raises(ValueError, match='use CocoMetric'):
        FasterCocoMetric(ann_file=str(truth), **unfit)
    with pytest.raises(ValueError, match='no ann_file'):
        FasterCocoMetric()
