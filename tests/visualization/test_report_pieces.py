"""Predictions, metrics, gallery and softened answers against independent computations."""
import copy
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

import families
from ctkd_det.visualization.report import figures, knowledge
from ctkd_det.visualization.report.box_labels import place_labels
from ctkd_det.visualization.report.detectors import Detector, detector_of
from ctkd_det.visualization.report.evaluation import annotations, evaluate, logged_per_class
from ctkd_det.visualization.report.gallery import build_gallery, most_different
from ctkd_det.visualization.report.matching import GroundTruth, ground_truth, iou, match
from ctkd_det.visualization.report.predictions import predict
from ctkd_det.visualization.report.runs import Missing, read_run
from helpers import CLASSES, CONFIGS, build, use_data
from studies import STUDENT, distilled, write_run


@pytest.fixture(scope='module')
def seeing(shapes, tmp_path_factory) -> Detector:
    """The shipped shapes teacher on 8 images."""
    cfg = use_data(Config.fromfile(CONFIGS / 'shapes' / 'teacher.py'), shapes)
    folder = tmp_path_factory.mktemp('seeing')
    shutil.copy(CONFIGS / 'shapes' / 'teacher.pth', folder / 'teacher.pth')
    return Detector('teacher', cfg.model.to_dict(), folder / 'teacher.pth',
                    cfg.val_dataloader.to_dict(), folder / 'report', [])


def test_metrics_are_those_of_mmdet(seeing, shapes, tmp_path):
    cfg = use_data(Config.fromfile(CONFIGS / 'shapes' / 'teacher.py'), shapes)
    cfg.test_evaluator.classwise = True
    cfg.work_dir, cfg.load_from = str(tmp_path), str(seeing.checkpoint)
    cfg.experiment_name = 'metrics_of_mmdet'
    theirs = Runner.from_cfg(cfg).test()
    predictions = predict(seeing, 500, 'cpu')
    ours = evaluate(predictions)
    assert predictions.complete and theirs['coco/bbox_mAP'] > .3
    # mmdet rounds to 0.1 %
    assert ours.metrics['mAP'] == pytest.approx(100 * theirs['coco/bbox_mAP'], abs=.051)
    assert ours.metrics['AP75'] == pytest.approx(100 * theirs['coco/bbox_mAP_75'], abs=.051)
    assert ours.metrics['APs'] == pytest.approx(100 * theirs['coco/bbox_mAP_s'], abs=.051)
    assert ours.metrics['APl'] is None and theirs['coco/bbox_mAP_l'] == -1
    for name, value in ours.per_class.items():
        if value is not None:
            assert value == pytest.approx(100 * theirs[f'coco/{name}_precision'], abs=.051)
    assert len(ours.per_class) == 8 and any(v for v in ours.per_class.values())


def test_predictions_are_kept_until_something_changes(seeing, monkeypatch):
    first = predict(seeing, 3, 'cpu')
    assert first.image_ids == predict(seeing, 500, 'cpu').image_ids[:3] and not first.complete

    def refuse(self, device):
        raise Missing('was built again')

    monkeypatch.setattr(Detector, 'build', refuse)
    again = predict(seeing, 3, 'cpu')
    for name in ('image', 'bboxes', 'labels', 'scores'):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    assert (again.paths, again.classes, again.total) == (first.paths, first.classes, 8)
    shutil.copy(CONFIGS / 'shapes' / 'teacher.pth', seeing.checkpoint)  # written anew
    with pytest.raises(Missing, match='built again'):
        predict(seeing, 3, 'cpu')


def test_a_distilled_student_is_run_as_a_plain_detector(shapes, teacher, tmp_path):
    """Its teacher may be gone, and its temperature is no weight of the detector."""
    cfg = use_data(Config.fromfile(CONFIGS / 'shapes' / 'ctkd.py'), shapes)
    cfg.model.teacher_ckpt = 'gone.pth'
    plain = build(Config.fromfile(CONFIGS / 'shapes' / 'student.py'))
    state = dict(plain.state_dict(), **{
        'distill_losses.loss_ctkd.temperature.theta': torch.zeros(())})
    torch.save(dict(state_dict=state), tmp_path / 'student.pth')
    detector = Detector('ctkd', cfg.model.to_dict(), tmp_path / 'student.pth',
                        cfg.val_dataloader.to_dict(), tmp_path, cfg.custom_imports.imports)
    model = detector.build('cpu')
    assert type(model).__name__ == 'TwoStageDetector' and not model.training
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in plain.state_dict().items())
    del state['roi_head.bbox_head.fc_cls.bias']
    torch.save(dict(state_dict=state), tmp_path / 'student.pth')
    with pytest.raises(Missing, match='1 weights are missing, roi_head.bbox_head.fc_cls.bias'):
        detector.build('cpu')


def test_a_distilled_dense_student_is_run_as_a_plain_detector(tmp_path):
    cfg = families.tiny('retinanet')
    plain = build(cfg)
    torch.save(dict(state_dict=plain.state_dict()), tmp_path / 'student.pth')
    model = dict(cfg.model.to_dict(), type='KnowledgeDistillationDenseDetector',
                 teacher_config='gone.py', teacher_ckpt='gone.pth', inherit=['neck'],
                 distill_losses=dict(loss_kd=dict(type='BinaryKDLoss', temperature=1.0)))
    built = Detector('kd', model, tmp_path / 'student.pth', {}, tmp_path, []).build('cpu')
    assert type(built).__name__ == 'SingleStageDetector'
    assert all(torch.equal(v, built.state_dict()[k]) for k, v in plain.state_dict().items())


def test_quality_by_hand():
    truth = GroundTruth(np.array([[0, 0, 10, 10], [20, 20, 30, 30]], float), np.array([0, 1]))
    boxes = np.array([[0, 0, 10, 8], [0, 0, 10, 10], [20, 20, 30, 30]], float)
    # the first is the more confident and takes object 0 with IoU 0.8; the second finds no
    # free one; the third is of another class
    found = match(boxes, np.array([0, 0, 0]), np.array([.9, .8, .7]), truth)
    assert found.right.tolist() == [True, False, False] and found.found.tolist() == [True, False]
    assert found.quality == pytest.approx(.8 / (1 + (2 + 1) / 2))
    # half of an object is just enough
    halves = np.array([[0, 0, 10, 5], [20, 20, 30, 24.9]], float)
    assert match(halves, np.array([0, 1]), np.ones(2), truth).right.tolist() == [True, False]
    empty = GroundTruth(np.zeros((0, 4)), np.zeros(0, int))
    assert match(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0), empty).quality == 1
    assert match(boxes, np.array([0, 0, 0]), np.ones(3), empty).quality == 0
    assert iou(boxes[:1], np.array([[5, 4, 15, 12]], float))[0, 0] == pytest.approx(20 / 140)


def test_images_are_chosen_by_difference_in_either_direction():
    assert most_different([.5, .9, .0, .4], [.5, .1, .5, .1])[:3] == [1, 2, 3]


def test_gallery_shows_who_found_what(seeing):
    predictions = predict(seeing, 500, 'cpu')
    coco = annotations(predictions.ann_file)
    rows, notes = build_gallery({'teacher': predictions}, coco, 'teacher', None, 2, .3)
    assert len(rows) == 2 and notes == [] and abs(rows[0]['gap']) >= abs(rows[1]['gap']) > 0
    for row in rows:
        truth, panel = row['panels']
        kinds = [box['kind'] for box in panel['boxes']]
        objects = len(ground_truth(coco, predictions, row['id']).labels)
        assert len(truth['boxes']) == objects == kinds.count('right') + kinds.count('missed')
        assert row['uri'].startswith('data:image/jpeg;base64,') and (row['width'], row['height']) \
            == (64, 64)
        assert all(box['score'] >= .3 for box in panel['boxes'] if box['kind'] != 'missed')


def test_a_picture_without_a_difference_is_left_out(seeing):
    """Of two detectors one has lost its detections on image 1 only."""
    predictions = predict(seeing, 500, 'cpu')
    kept = predictions.image != 1
    less = replace(predictions, **{name: getattr(predictions, name)[kept] for name in (
        'image', 'bboxes', 'labels', 'scores')})
    coco = annotations(predictions.ann_file)
    rows, notes = build_gallery(dict(kd=predictions, student=less), coco, 'kd', 'student', 3, .3)
    assert [row['id'] for row in rows] == [1] and rows[0]['gap'] > 0 and notes == []
    rows, notes = build_gallery(dict(kd=less, student=less), coco, 'kd', 'student', 3, .3)
    assert rows == []
    assert notes == ['In quality kd does not differ from student on any of these images.']


def test_pictures_are_called_by_their_paths_in_the_data_folder(seeing, monkeypatch):
    predictions = predict(seeing, 500, 'cpu')
    coco = annotations(predictions.ann_file)
    data = Path(predictions.image_folder)

    def names(image_folder):
        return [row['name'] for row in build_gallery(
            dict(kd=replace(predictions, image_folder=str(image_folder))), coco, 'kd', None, 1,
            .3)[0]]

    (name, ) = names(data)
    assert (data / name).is_file() and '/' not in name
    assert names(data.parent) == [f'{data.name}/{name}']
    monkeypatch.setattr('ctkd_det.visualization.report.gallery._LONGEST', 12)
    (long, ) = names('/')
    assert len(long) == 12 and long[0] == '…'
    assert (data / name).absolute().as_posix().endswith(long[1:])


def corners(box, size, letters):
    """Where a name is, with letters of .68 of their height."""
    at, length = box['labels'][size], .68 * letters * len(box['text'])
    left = at['x'] if at['anchor'] == 'start' else at['x'] - length
    return left, at['y'] - .85 * letters, left + length, at['y'] + .25 * letters


@pytest.mark.parametrize('size, letters', [('small', 100 / 18), ('large', 100 / 45)])
def test_names_of_boxes_stay_inside_the_picture_and_off_each_other(size, letters):
    boxes = [dict(x=x, y=y, w=20, h=10, kind=kind, name='cat', score=score)
             for x in (0, 85) for y in (0, 90) for kind, score in (('right', .9), ('wrong', .5))]
    boxes += [dict(x=40, y=40, w=20, h=20, kind='object', name='dog', score=None)] * 1
    place_labels(boxes, 100, 100)
    placed = [corners(box, size, letters) for box in boxes if box['labels'][size]]
    assert len(placed) == len(boxes)
    for i, (x1, y1, x2, y2) in enumerate(placed):
        assert x1 >= -.1 and y1 >= -.1 and x2 <= 100.1 and y2 <= 100.1
        for u1, v1, u2, v2 in placed[:i]:
            assert x2 <= u1 + .1 or u2 <= x1 + .1 or y2 <= v1 + .1 or v2 <= y1 + .1


def test_a_name_without_room_is_left_out_and_the_most_confident_stays():
    boxes = [dict(x=30, y=30, w=9, h=3, kind='right', name='elephant', score=score)
             for score in (.5, .9, .7, .6, .8, .4, .3)]
    boxes += [dict(boxes[0], kind='missed', score=None)]
    place_labels(boxes, 100, 100)
    kept = [box['score'] for box in boxes if box['labels']['small']]
    assert .9 in kept and len(kept) < 7 and min(kept) > .4
    assert boxes[-1]['labels'] == dict(small=None, large=None)


def test_answers_to_boxes_are_the_head_s_own(seeing):
    predictions = predict(seeing, 500, 'cpu')
    objects = knowledge.find_objects(predictions)
    z = knowledge.logits(seeing, objects, 'cpu', CLASSES)
    assert z.shape == (len(objects.labels), 9)
    assert (z.argmax(1) == objects.labels).mean() > .5  # a trained teacher on true boxes
    model, item = seeing.build('cpu'), seeing.dataset()[0]
    data = model.data_preprocessor(dict(inputs=[item['inputs']],
                                        data_samples=[item['data_samples']]), False)
    truth = item['data_samples'].gt_instances
    with torch.no_grad():
        rois = torch.cat([torch.zeros(len(truth), 1), truth.bboxes.tensor], 1)
        expected = model.roi_head._bbox_forward(model.extract_feat(data['inputs']), rois)
    np.testing.assert_allclose(z[objects.rois[:, 0] == 0], expected['cls_score'].numpy(),
                               rtol=1e-5, atol=1e-5)
    with pytest.raises(Missing, match='9 logits for each box, not one for each of 9 classes'):
        few = knowledge.AnnotatedRoIs(objects.rois[:1], objects.labels[:1])
        knowledge.logits(seeing, few, 'cpu', [*CLASSES, 'moon'])
    sigmoids = copy.deepcopy(seeing)
    sigmoids.model['roi_head']['bbox_head']['loss_cls'] = dict(
        type='CrossEntropyLoss', use_sigmoid=True)
    sigmoids.checkpoint = seeing.checkpoint.with_name('sigmoids.pth')
    torch.save(build(Config(dict(model=sigmoids.model))).state_dict(), sigmoids.checkpoint)
    # of mmdet such a head has one for the background, too, which no loss between sigmoids compares
    model = sigmoids.build('cpu')
    with torch.no_grad():
        expected = model.roi_head._bbox_forward(model.extract_feat(data['inputs']), rois)
    z = knowledge.logits(sigmoids, objects, 'cpu', CLASSES)
    np.testing.assert_allclose(z[objects.rois[:, 0] == 0], expected['cls_score'][:, :8].numpy(),
                               rtol=1e-5, atol=1e-5)


def test_softened_by_hand():
    z = np.log(np.array([[1., 4, 16]]))
    np.testing.assert_allclose(knowledge.softened(z, np.array([2.]), 2), [[1 / 7, 2 / 7, 4 / 7]])
    # sigmoids of three classes, without a background
    np.testing.assert_allclose(knowledge.softened(z, np.array([2.]), 3), [[1 / 2, 2 / 3, 4 / 5]])


def test_objects_that_tell_most():
    p = np.array([[.6, .3, .1], [.5, .4, .1], [.4, .5, .1], [.3, .6, .1], [.2, .1, .7]])
    # the second tells more of class 0 than the first; the third is classified wrongly
    assert knowledge.most_telling(p, np.array([0, 0, 0, 1, 1]), 2, 4) == [1, 3]
    # of sigmoids, without a background, the last is not sure of anything, yet right
    p = np.array([[.6, .1], [.5, .4], [.4, .5], [.9, .8], [.1, .2]])
    assert knowledge.most_telling(p, np.array([0, 0, 0, 0, 1]), 2, 4) == [3, 4]


@pytest.mark.parametrize('values, expected', [
    (dict(tau_mean=1.5), [1.5, 1.5]),
    (dict(tau_mean=1.5, tau_foreground=1.7, tau_background=1.2), [1.7, 1.7]),
    (dict(tau_mean=1.5, tau_class_0=1.1, tau_class_1=1.9, tau_background=1.2), [1.1, 1.9]),
])
def test_the_temperature_of_an_object(tmp_path, values, expected):
    record = {f'ctkd.{key}': value for key, value in values.items()}
    run = read_run(write_run(tmp_path / 'ctkd', 'ctkd', distilled(), records=[
        dict({key: 9.0 for key in record}, step=10), dict(record, step=20)]))
    assert knowledge.learned_tau(run, np.array([0, 1])).tolist() == expected


def test_a_method_without_a_temperature_is_shown_at_1(tmp_path):
    """Also if a loss between features has one, which is of no class probabilities."""
    model = distilled()
    model['distill_losses'] = dict(loss_cwd=dict(type='CWDLoss'))
    run = read_run(write_run(tmp_path / 'cwd', 'cwd', model, records=[
        {'cwd.tau_mean': 4.0, 'cwd.level_0': 0.5, 'step': 10}]))
    assert knowledge.learned_tau(run, np.array([0, 3])).tolist() == [1.0, 1.0]


def test_without_a_checkpoint_there_is_no_detector(tmp_path):
    run = read_run(write_run(tmp_path / 'student', 'student', STUDENT))
    with pytest.raises(Missing, match='no checkpoint'):
        detector_of(run)


def test_the_checkpoint_is_found_where_the_directory_was_moved_to(tmp_path):
    run = read_run(write_run(tmp_path / 'kd', 'kd', distilled()))
    for name in ('best_coco_bbox_mAP_epoch_1.pth', 'epoch_2.pth', 'epoch_1.pth'):
        (run.work_dir / name).touch()
    (run.work_dir / 'last_checkpoint').write_text('/elsewhere/kd/epoch_2.pth')
    assert run.last_checkpoint.name == 'epoch_2.pth'


def test_logged_classes_are_of_the_last_validation(tmp_path):
    record = {'coco/ring_precision': .25, 'coco/star_precision': float('nan'), 'step': 2}
    run = read_run(write_run(tmp_path / 'a', 'kd', distilled(), records=[record]))
    assert logged_per_class(run) == dict(ring=25.0, star=None)
    run = read_run(write_run(tmp_path / 'b', 'kd', distilled(), records=[dict(record, step=1)]))
    assert logged_per_class(run) is None


def test_long_curves_are_thinned():
    steps, values = figures._thin((list(range(10001)), [1.0] * 10001))
    assert len(steps) == len(values) <= 502 and (steps[0], steps[-1]) == (0, 10000)
