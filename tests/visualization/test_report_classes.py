"""A teacher that knows other classes than the data, as with ``class_mapping='by_name'``."""
import numpy as np
import pytest
import torch
from mmengine.config import Config

import families
from ctkd_det.models.teachers.classes import ClassMapping
from ctkd_det.visualization.report import knowledge, write_report
from ctkd_det.visualization.report.classes import map_labels, map_logits
from ctkd_det.visualization.report.detectors import Detector, teacher_detector
from ctkd_det.visualization.report.evaluation import evaluate
from ctkd_det.visualization.report.predictions import predict
from ctkd_det.visualization.report.runs import Missing
from ctkd_det.visualization.report.study import read_study
from helpers import CLASSES, CONFIGS, use_data
from studies import distilled, write_run

NAMES = ('moon', *reversed(CLASSES), 'star')


@pytest.fixture(scope='module')
def shipped(shapes):
    return use_data(Config.fromfile(CONFIGS / 'shapes' / 'teacher.py'), shapes)


@pytest.fixture(scope='module')
def original(shipped, tmp_path_factory) -> Detector:
    """The shipped teacher of the 8 shapes, halves made floats."""
    folder = tmp_path_factory.mktemp('original')
    return Detector('teacher', shipped.model.to_dict(), CONFIGS / 'shapes' / 'teacher.pth',
                    shipped.val_dataloader.to_dict(), folder, [])


def learner(shipped, folder, moon=-100.0, names=NAMES):
    """A run whose teacher is the shipped one with 10 classes in another order.

    'moon' and 'star' have one logit whatever the RoI.
    """
    weights = torch.load(CONFIGS / 'shapes' / 'teacher.pth')['state_dict']
    order = [CLASSES.index(name) for name in NAMES[1:-1]]
    cfg = Config(dict(model=shipped.model.to_dict()))
    cfg.model.roi_head.bbox_head.num_classes = len(NAMES)
    for part in ('weight', 'bias'):
        key = f'roi_head.bbox_head.fc_cls.{part}'
        old = weights[key].float()
        no = torch.zeros_like(old[:1]) if part == 'weight' else torch.full((1, ), -100.0)
        yes = no if part == 'weight' else torch.full((1, ), moon)
        weights[key] = torch.cat([yes, old[:-1][order], no, old[-1:]])
        key = f'roi_head.bbox_head.fc_reg.{part}'
        old = weights[key].float().unflatten(0, (len(CLASSES), 4))
        weights[key] = torch.cat([old[:1], old[order], old[:1]]).flatten(0, 1)
    folder.mkdir()
    teacher = families.save_teacher(folder, cfg, names, weights)
    model = distilled(config=teacher['teacher_config'], ckpt=teacher['teacher_ckpt'])
    return write_run(folder / 'run', 'kd', dict(model, class_mapping='by_name'),
                     val_dataloader=shipped.val_dataloader.to_dict())


def test_permuted_classes_score_as_before(shipped, original, tmp_path):
    teacher = teacher_detector(read_study([learner(shipped, tmp_path / 'kd')]))
    expected, found = (evaluate(predict(d, 500, 'cpu')) for d in (original, teacher))
    assert expected.metrics['mAP'] > 30
    # the same detections; a sum over 11 instead of 9 exponentials rounds otherwise
    assert found.metrics == pytest.approx(expected.metrics, abs=1e-6)
    assert found.per_class == pytest.approx(expected.per_class, abs=1e-6)


def test_permuted_logits_are_the_same(shipped, original, tmp_path):
    teacher = teacher_detector(read_study([learner(shipped, tmp_path / 'kd', moon=-50.0)]))
    objects = knowledge.find_objects(predict(original, 500, 'cpu'))
    expected, found = (knowledge.logits(d, objects, 'cpu', CLASSES) for d in (original, teacher))
    # a matrix of another width may be multiplied in another order
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_what_the_data_do_not_have_is_dropped(shipped, tmp_path):
    teacher = teacher_detector(read_study([learner(shipped, tmp_path / 'kd', moon=100.0)]))
    seen = predict(teacher, 500, 'cpu')  # it takes everything for a moon
    assert seen.complete and len(seen.labels) == len(seen.bboxes) == len(seen.image) == 0


def test_by_hand():
    mapping = ClassMapping('by_name', 'teacher', ('a', 'b', 'c', 'd'), 4, 2, False)
    mapping.settle(('d', 'b'))
    assert map_labels(mapping, np.array([0, 1, 2, 3, 3])).tolist() == [-1, 1, -1, 0, 0]
    rest = np.log(np.exp([.1, .3, .5]).sum())  # a, c and background
    np.testing.assert_allclose(map_logits(mapping, np.array([[.1, .2, .3, .4, .5]])),
                               [[.4, .2, rest]])
    assert map_labels(None, np.array([5])).tolist() == [5]


def test_the_page_has_the_teachers_distance(shipped, original, tmp_path):
    run = learner(shipped, tmp_path / 'kd')
    page = write_report([run], tmp_path / 'report.html', images=0).read_text(encoding='utf-8')
    expected = evaluate(predict(original, 500, 'cpu')).metrics['mAP']
    assert f'kd: 20.0 mAP, {expected - 20:.1f} below the teacher.' in page
    assert 'knows other classes' not in page


@pytest.mark.parametrize('names, reason', [
    (('moon', *reversed(CLASSES[1:]), 'oval', 'star'), f'does not know [{CLASSES[0]!r}]'),
    ((), 'are not known. Its checkpoint states none')])
def test_what_cannot_be_mapped_is_left_out_with_the_reason(shipped, tmp_path, names, reason):
    run = learner(shipped, tmp_path / 'kd', names=names)
    page = write_report([run], tmp_path / 'report.html').read_text(encoding='utf-8')
    assert 'There is no distance to the teacher. teacher knows other classes' in page
    assert reason in page.replace('&#39;', "'")
    assert '<h1>kd: 20.0 mAP.</h1>' in page


def test_labels_beyond_the_data_are_a_reason(shipped, tmp_path):
    """A student that was trained with other data than it is validated with."""
    teacher = teacher_detector(read_study([learner(shipped, tmp_path / 'kd')]))
    teacher.source = None
    with pytest.raises(Missing, match='its validation data have 8 classes'):
        predict(teacher, 500, 'cpu')
