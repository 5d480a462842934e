"""Kept predictions stay right where the project goes, and whatever its images are called."""
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from ctkd_det.visualization.report.detectors import Detector
from ctkd_det.visualization.report.evaluation import annotations, evaluate
from ctkd_det.visualization.report.matching import ground_truth
from ctkd_det.visualization.report.pictures import read_picture
from ctkd_det.visualization.report.predictions import predict
from helpers import CONFIGS, make_shapes, use_data


def in_a_project(folder, monkeypatch, data_root):
    """The shapes teacher in a project with data of its own, which it names by this path."""
    cfg = use_data(Config.fromfile(CONFIGS / 'shapes' / 'teacher.py'), data_root)
    (folder / 'work').mkdir()
    shutil.copy(CONFIGS / 'shapes' / 'teacher.pth', folder / 'work')
    monkeypatch.chdir(folder)
    return Detector('teacher', cfg.model.to_dict(), Path('work/teacher.pth'),
                    cfg.val_dataloader.to_dict(), Path('work/report'), [])


def test_kept_predictions_move_with_the_project(tmp_path, monkeypatch):
    project = tmp_path / 'project'
    make_shapes(project / 'data', 3)
    detector = in_a_project(project, monkeypatch, 'data')
    predict(detector, 3, 'cpu')
    monkeypatch.chdir(tmp_path)
    project.rename(tmp_path / 'moved')
    monkeypatch.chdir(tmp_path / 'moved')
    monkeypatch.setattr(Detector, 'build', lambda self, device: pytest.fail('was built again'))
    kept = predict(detector, 3, 'cpu')
    assert read_picture(kept, 2).shape == (64, 64, 3)
    assert evaluate(kept).metrics['mAP'] > 0


def test_ids_of_images_may_be_texts(tmp_path, monkeypatch):
    """Those of one image are no list of letters, which would be images too."""
    make_shapes(tmp_path / 'data', 4)
    numbers = in_a_project(tmp_path, monkeypatch, 'data')
    as_numbers = predict(numbers, 4, 'cpu')
    truth = annotations(as_numbers.ann_file)
    expected = evaluate(as_numbers), [ground_truth(truth, as_numbers, i) for i in range(4)]
    file = tmp_path / 'data' / 'val.json'
    content = json.loads(file.read_text())
    for image in content['images']:
        image['id'] = f'image {image["id"]}'
    for box in content['annotations']:
        box['image_id'] = f'image {box["image_id"]}'
    (tmp_path / 'data' / 'texts.json').write_text(json.dumps(content))
    numbers.loader['dataset']['ann_file'] = 'texts.json'
    texts = predict(numbers, 4, 'cpu')
    assert texts.image_ids == [f'image {i}' for i in as_numbers.image_ids]
    assert evaluate(texts) == expected[0]
    truth = annotations(texts.ann_file)
    for i, objects in enumerate(expected[1]):
        np.testing.assert_array_equal(ground_truth(truth, texts, i).bboxes, objects.bboxes)
        assert len(objects.labels)
