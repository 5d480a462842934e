"""Whole runs of every family: training, evaluation, pictures, export, report.

One family of each kind always, the others with ``CTKD_DET_LONG=1``, which takes some minutes.
"""
import json
import os

import pytest
import torch
from cli.conftest import invoke
from mmdet.registry import MODELS
from mmengine.config import Config

import families
import helpers
from ctkd_det.models.detectors import distilled_class
from ctkd_det.visualization.report.detectors import detector_of, teacher_detector
from ctkd_det.visualization.report.knowledge import find_objects, logits
from ctkd_det.visualization.report.predictions import predict
from ctkd_det.visualization.report.runs import Missing
from ctkd_det.visualization.report.study import read_study

LEARNED = dict(type='GlobalTemperature', tau_min=0.5, tau_range=1.5, initial_temperature=1.0)
KEYS = dict(cascade=['s0.loss_ctkd', 's1.loss_ctkd', 's2.loss_ctkd'])
ALWAYS = ('cascade', 'yolox', 'dino')
FAMILIES = ('cascade', *families.DENSE, *families.DETR)


def with_masks(shapes, folder):
    """The same data, where the mask of each object is its box."""
    for part in ('train', 'val'):
        content = json.loads((shapes / f'{part}.json').read_text())
        for annotation in content['annotations']:
            x, y, w, h = annotation['bbox']
            annotation['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        (folder / f'{part}.json').write_text(json.dumps(content))
        (folder / part).symlink_to(shapes / part)
    return folder


def config(family, shapes, folder):
    cfg = helpers.student_config(max_epochs=1)
    cfg.pop('model')
    cfg.model = families.tiny(family).model
    if family == 'rtmdet_ins':
        shapes = with_masks(shapes, folder)
        cfg.train_dataloader.dataset.pipeline[1].with_mask = True
    if family in families.DENSE:  # after four steps it is sure of nothing, and boxes may be empty
        cfg.model.test_cfg.update(score_thr=0.0, min_bbox_size=-1)
    loss = 'KDLoss' if family == 'cascade' else 'BinaryKDLoss'
    cfg.model.update(
        type=distilled_class(MODELS.get(cfg.model.type)).__name__,
        **families.save_teacher(folder, families.tiny(family)),
        distill_losses=dict(loss_ctkd=dict(type=loss, temperature=LEARNED, foreground_weight=0.5)))
    if family == 'dab':  # whose random places are drawn from a generator in the checkpoint
        cfg.model.distilled_queries = ['student', 'teacher', 'random']
    cfg.custom_hooks = [
        dict(type='CurriculumHook', lambda_min=1.0),
        dict(type='PredictionComparisonHook', num_images=1, score_thr=0.0)]
    cfg.visualizer.name = family  # visualizers of one name are one object in a process
    cfg.optim_wrapper.optimizer.lr = 0.01
    return helpers.use_data(cfg, shapes)


@pytest.mark.parametrize('family', [family if family in ALWAYS else pytest.param(
    family, marks=pytest.mark.skipif('CTKD_DET_LONG' not in os.environ,
                                     reason='minutes: set CTKD_DET_LONG=1'))
    for family in FAMILIES])
def test_trains_evaluates_and_leaves_a_plain_student(family, shapes, tmp_path):
    cfg, work = config(family, shapes, tmp_path), tmp_path / 'run'
    cfg.dump(tmp_path / 'x.py')
    runner = helpers.run(cfg, work)
    scalars = runner.message_hub.log_scalars
    assert all(len(scalars[f'train/{key}'].data[0]) == 4  # 8 images in twos
               for key in KEYS.get(family, ['loss_ctkd']))
    total = scalars['train/loss'].data[0]
    parts = [sum(scalars[name].data[0][i] for name in scalars if 'loss_' in name)
             for i in range(4)]
    assert total == pytest.approx(parts, rel=1e-4)
    assert 'val/coco/bbox_mAP' in scalars
    # the adversary's gradient reaches theta: up the loss, so tau moves from where it began
    assert scalars['train/ctkd.theta_grad'].data[0][0] != 0
    taus = scalars['train/ctkd.tau_mean'].data[0]
    assert taus[0] == pytest.approx(1, abs=1e-6) and taus[-1] != taus[0]
    assert len(list(work.glob('*/vis_data/vis_image/comparison_*_1.png'))) == 1

    exported = invoke('export', tmp_path / 'x.py', work / 'epoch_1.pth', '--out',
                      tmp_path / 'student', '--shape', 64, 64)
    assert exported.exit_code == 0, exported.output
    plain = Config.fromfile(tmp_path / 'student' / 'x.py')
    assert 'KnowledgeDistillation' not in plain.pretty_text
    student = helpers.build(plain)
    student.load_state_dict(torch.load(tmp_path / 'student' / 'x.pth')['state_dict'], strict=True)
    with torch.no_grad():
        data = helpers.batch(student, training=False)
        a, b = (m.eval()(**data, mode='predict')[0].pred_instances for m in (student, runner.model))
    assert len(a) > 0
    assert all(torch.equal(a[key], b[key]) for key in ('scores', 'bboxes', 'labels'))

    study = read_study([work])
    detectors = detector_of(study.distilled[0].runs[0]), teacher_detector(study)
    for detector in detectors:
        found = predict(detector, 2, 'cpu')
        assert found.extent == 'the first 2 of 8 validation images'
        objects = find_objects(found)
        if family != 'cascade':
            assert logits(detector, objects, 'cpu', found.classes).shape == (len(objects.labels), 8)
            continue
        with pytest.raises(Missing, match=f'{detector.name} is not shown: a CascadeRoIHead'):
            logits(detector, objects, 'cpu', found.classes)
