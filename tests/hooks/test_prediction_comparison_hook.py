"""Pictures of both detectors while one of them learns."""
import copy
import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import same_color
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import EMAHook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image
from torch.nn.functional import interpolate

from ctkd_det.hooks import PredictionComparisonHook
from ctkd_det.hooks.prediction_comparison_hook import _ground_truth, _tag
from ctkd_det.visualization.boxes import draw_boxes, render
from helpers import CLASSES, build, distill, run, student_config

COUNTER = itertools.count()
EVERY_TWO = dict(type='PredictionComparisonHook', interval=2, num_images=3, score_thr=0.0)


def config(shapes, teacher, *hooks, epochs=2):
    cfg = distill(student_config(shapes, epochs), teacher)
    # visualizers of one name are one object in a process, that of the first run
    cfg.visualizer.name = f'visualizer{next(COUNTER)}'
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    cfg.custom_hooks = [dict(type='CurriculumHook'), *copy.deepcopy(hooks)]
    return cfg


def validation_set(cfg):
    init_default_scope('mmdet')
    return Runner.build_dataloader(cfg.val_dataloader).dataset


def test_pictures_every_second_epoch(shapes, teacher, tmp_path):
    run(config(shapes, teacher, EVERY_TWO), tmp_path / 'watched')
    pictures = sorted(p.name for p in (tmp_path / 'watched').glob('*/vis_data/vis_image/*.png'))
    assert pictures == [f'comparison_00000{i}_2.png' for i in range(3)]
    width, height = Image.open(next((tmp_path / 'watched').rglob(pictures[0]))).size
    assert width > 2.5 * height  # three columns


def test_a_file_name_that_leads_out_of_the_data_folder_is_not_shown(shapes, teacher, tmp_path):
    """Neither alone nor in a concatenation; the next picture is."""
    content = json.loads((shapes / 'val.json').read_text())
    secret = tmp_path / 'secret.png'
    Image.open(shapes / 'val' / content['images'][0]['file_name']).save(secret)
    content['images'][0]['file_name'] = os.path.relpath(secret, shapes / 'val')
    (tmp_path / 'val.json').write_text(json.dumps(content))
    cfg = config(shapes, teacher, dict(EVERY_TWO, interval=1, num_images=2), epochs=1)
    dataset = cfg.val_dataloader.dataset
    dataset.ann_file = cfg.val_evaluator.ann_file = str(tmp_path / 'val.json')
    cfg.val_dataloader.dataset = dict(type='ConcatDataset', datasets=[dataset])
    run(cfg, tmp_path / 'work')
    pictures = [p.name for p in (tmp_path / 'work').glob('*/vis_data/vis_image/*.png')]
    assert pictures == ['comparison_000001_1.png']
    assert 'leads out of the data folder' in next((tmp_path / 'work').glob('*/*.log')).read_text()


def test_looking_by_iterations_changes_nothing(shapes, teacher, tmp_path):
    """The fourth iteration trains on, in training mode, with the same random numbers."""
    hook = dict(EVERY_TWO, by_epoch=False, interval=3, num_images=1)
    watched = run(config(shapes, teacher, hook, epochs=1), tmp_path / 'work')
    plain = run(config(shapes, teacher, epochs=1), tmp_path / 'plain')
    a, b = (runner.model.state_dict() for runner in (plain, watched))
    assert all(torch.equal(value, b[key]) for key, value in a.items())
    pictures = [p.name for p in (tmp_path / 'work').glob('*/vis_data/vis_image/*.png')]
    assert pictures == ['comparison_000000_3.png']


def test_images_of_one_name_have_pictures_of_their_own():
    class Folders:
        def get_data_info(self, index):
            return dict(img_path=('a/1.jpg', 'b/1.jpg', 'a/2.jpg', 'c/1.jpg')[index])

    assert [_tag(Folders(), index) for index in range(4)] == [
        'comparison_1', 'comparison_1_1', 'comparison_2', 'comparison_1_3']


def test_what_is_drawn_is_what_they_predict(shapes, teacher):
    """The teacher normalises otherwise: it must see its own kind of images."""
    folder = Path(teacher['teacher_config']).parent
    other = Config.fromfile(teacher['teacher_config'])
    other.model.data_preprocessor.update(mean=[100., 90., 80.], std=[50., 60., 70.],
                                         bgr_to_rgb=False)
    other.model.test_cfg.rcnn.score_thr = 0.0
    other.dump(folder / 'other.py')
    cfg = config(shapes, {**teacher, 'teacher_config': str(folder / 'other.py')})
    model = build(cfg).eval()
    dataset = validation_set(cfg)
    with torch.no_grad():
        found = PredictionComparisonHook(score_thr=0.0)._predictions(model, dataset, 1, CLASSES)
    alone = build(Config.fromfile(folder / 'other.py')).eval()
    alone.load_state_dict(torch.load(teacher['teacher_ckpt'])['state_dict'])
    for name, detector in (('teacher', alone), ('student', build(cfg).eval())):
        sample = dataset[1]
        with torch.no_grad():
            expected = detector.test_step(dict(inputs=[sample['inputs']],
                                               data_samples=[sample['data_samples']]))[0]
        expected = expected.pred_instances
        assert len(expected) > 10
        # float32 rounding of normalising, undoing it and normalising again: pixels of 64
        torch.testing.assert_close(torch.tensor([box for box, _, _ in found[name]]),
                                   expected.bboxes, rtol=0, atol=1e-3)
        assert [label for _, label, _ in found[name]] == [CLASSES[i] for i in expected.labels]


def test_the_teacher_looks_at_the_size_at_which_it_teaches(shapes, teacher):
    """Twice as large here; its boxes are still in pixels of the file."""
    cfg = config(shapes, dict(teacher, teacher_scale=2.0))
    model, dataset = build(cfg).eval(), validation_set(cfg)
    model.teacher.model.roi_head.test_cfg.score_thr = 0.0
    alone = copy.deepcopy(model.teacher.model)
    data = model.data_preprocessor(pseudo_collate([dataset[1]]), False)
    sample, = data['data_samples']
    assert sample.img_shape == (64, 64) and sample.scale_factor == (1.0, 1.0)
    large = DetDataSample(metainfo=dict(
        img_shape=(128, 128), ori_shape=(64, 64), pad_shape=(128, 128),
        batch_input_shape=(128, 128), scale_factor=(2.0, 2.0)))
    with torch.no_grad():
        found = PredictionComparisonHook(score_thr=0.0)._predictions(model, dataset, 1, CLASSES)
        images = interpolate(data['inputs'], scale_factor=2, mode='bilinear')
        expected = alone.predict(images, [large])[0].pred_instances
    assert len(expected) > 10 and expected.bboxes.max() <= 64
    torch.testing.assert_close(torch.tensor([box for box, _, _ in found['teacher']]),
                               expected.bboxes, rtol=0, atol=1e-4)  # float32, 64 pixels


def test_the_student_has_the_weights_of_the_optimizer(shapes, teacher, tmp_path):
    """Not those that EMAHook averages."""
    key, seen = 'roi_head.bbox_head.fc_cls.weight', []

    class Watch(PredictionComparisonHook):

        def _predictions(self, model, *args):
            seen.append(model.state_dict()[key].clone())
            return {}

    cfg = config(shapes, teacher, dict(type='EMAHook', momentum=0.3), epochs=1)
    runner = run(cfg, tmp_path / 'ema', (Watch(num_images=1), ))
    averaged, = (hook.ema_model.module for hook in runner.hooks if isinstance(hook, EMAHook))
    assert len(seen) == 1 and torch.equal(seen[0], runner.model.state_dict()[key])
    assert not torch.equal(seen[0], averaged.state_dict()[key])


def test_another_detectors_teacher_is_not_asked(shapes):
    """mmdet's semi-supervised detectors have a ``teacher`` too, a module of another kind."""
    cfg = student_config(shapes)
    dataset, model = validation_set(cfg), build(cfg).eval()
    model.teacher = torch.nn.Identity()
    with torch.no_grad():
        assert list(PredictionComparisonHook()._predictions(model, dataset, 0, CLASSES)) == [
            'student']


def test_ground_truth_is_that_of_the_file(shapes):
    dataset = validation_set(student_config(shapes))
    content = json.loads((shapes / 'val.json').read_text())
    annotations = [a for a in content['annotations'] if a['image_id'] == 2]
    expected = [([x, y, x + w, y + h], CLASSES[a['category_id'] - 1], None)
                for a in annotations for x, y, w, h in [a['bbox']]]
    info = dataset.get_data_info(1)
    assert _ground_truth(info, CLASSES) == expected
    for instance in info['instances']:
        instance['ignore_flag'] = 1
    assert _ground_truth(info, CLASSES) == []


def test_drawn_boxes():
    box = ((2., 3., 10., 8.), 'square', 0.25)
    image = np.zeros((20, 30, 3), np.uint8)
    boxes = [box, (box[0], 'moon', 1.), (box[0], 'moon', None)]
    figure = draw_boxes([image], {'ground truth': [[]], 'teacher': [boxes]}, CLASSES)
    left, right = figure.axes
    assert left.get_title() == 'ground truth' and not left.patches
    first, second, _ = right.patches
    assert first.get_xy() == (2, 3) and (first.get_width(), first.get_height()) == (8, 5)
    assert [text.get_text() for text in right.texts] == ['square 0.25', 'moon 1.00', 'moon']
    # 'square' is class 1; the teacher alone knows 'moon'
    assert same_color(first.get_edgecolor(), 'C1') and same_color(second.get_edgecolor(), 'gray')
    assert render(figure).dtype == np.uint8 and render(figure).shape == (280, 560, 3)


def test_a_plain_student_has_no_teachers_column(shapes):
    cfg = student_config(shapes)
    dataset = validation_set(cfg)
    with torch.no_grad():
        found = PredictionComparisonHook()._predictions(build(cfg).eval(), dataset, 0, CLASSES)
    assert list(found) == ['student']


@pytest.mark.parametrize('arguments', [dict(interval=0), dict(num_images=0)])
def test_arguments(arguments):
    with pytest.raises(ValueError, match='>= 1'):
        PredictionComparisonHook(**arguments)
