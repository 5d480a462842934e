"""What single-stage detectors and DETRs say of annotated objects."""
import copy
import json
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config

import families
from ctkd_det.visualization.report import answers, knowledge, write_report
from ctkd_det.visualization.report.detectors import Detector
from ctkd_det.visualization.report.figures import knowledge_figure
from ctkd_det.visualization.report.runs import Missing
from helpers import CLASSES, CONFIGS, build, use_data
from studies import write_run


@pytest.fixture(scope='module')
def loader(shapes):
    """Images of 64 pixels, enlarged to 96."""
    cfg = use_data(Config.fromfile(CONFIGS / 'shapes' / 'student.py'), shapes)
    for step in cfg.val_dataloader.dataset.pipeline:
        if step.type == 'Resize':
            step.scale = (96, 96)
    return cfg.val_dataloader.to_dict()


def detector(cfg, loader, folder) -> Detector:
    # a copy: DETRs write into what they are built from
    model = families.make_opinionated(build(copy.deepcopy(cfg)), seed=0)
    torch.save(dict(state_dict=model.state_dict()), folder / 'x.pth')
    return Detector('kd', cfg.model.to_dict(), folder / 'x.pth', loader, folder, [])


@pytest.mark.parametrize('family', ['retinanet', 'gfl', 'yolox', 'conditional', 'dino'])
def test_of_what_it_detects_best_it_says_what_it_detected(family, loader, tmp_path):
    """No location is more confident, whatever its class; boxes are in pixels of the file."""
    cfg = families.tiny(family)
    cfg.model.test_cfg.update(score_thr=0.0, min_bbox_size=-1)
    asked = detector(cfg, loader, tmp_path)
    item = asked.dataset()[0]
    assert item['data_samples'].scale_factor == (1.5, 1.5)
    with torch.no_grad():
        found = asked.build('cpu').test_step(dict(inputs=[item['inputs']],
                                                  data_samples=[item['data_samples']]))
    best = found[0].pred_instances[:1]
    objects = knowledge.AnnotatedRoIs(
        np.concatenate([[[0]], best.bboxes.numpy()], 1).astype(np.float32), best.labels.numpy())
    z = knowledge.logits(asked, objects, 'cpu', CLASSES)
    assert z.shape == (1, 8)
    p = knowledge.softened(z, np.ones(1), 8)[0]
    assert p.argmax() == best.labels and p.max() == pytest.approx(best.scores.item(), abs=1e-5)


def test_which_location_answers():
    overlaps = torch.tensor([[.9, .5, .1], [.3, .4, .2], [0., 0., .7]])
    # the most confident of those that fit; where none does, the one that fits best
    assert answers._answering(overlaps, torch.tensor([.2, .6, .8])).tolist() == [1, 1, 2]


def test_heads_that_do_not_answer_for_one_object_are_refused_in_a_sentence(loader, tmp_path):
    objects = knowledge.AnnotatedRoIs(np.array([[0, 1, 1, 9, 9]], np.float32), np.array([0]))
    unknown = families.tiny('retinanet')
    unknown.model.bbox_head.type = 'FreeAnchorRetinaHead'
    for cfg, reason in (
            (families.tiny('cascade'), 'a CascadeRoIHead classifies each object 3 times'),
            (unknown, 'which logits a FreeAnchorRetinaHead has for an object is not known')):
        with pytest.raises(Missing, match=f'kd is not shown: {reason}'):
            knowledge.logits(detector(cfg, loader, tmp_path), objects, 'cpu', CLASSES)


def test_the_page_shows_sigmoids_at_1_and_at_the_learned_temperature(loader, tmp_path):
    cfg = families.tiny('retinanet')
    model = dict(cfg.model.to_dict(), type='KnowledgeDistillationDenseDetector',
                 **families.save_teacher(tmp_path, cfg),
                 distill_losses=dict(loss_ctkd=dict(type='BinaryKDLoss', temperature=2.0)))
    run = write_run(tmp_path / 'ctkd', 'ctkd', model, val_dataloader=loader,
                    records=[{'ctkd.tau_mean': 2.0, 'step': 10}])
    torch.save(dict(state_dict=families.make_opinionated(build(cfg), 2).state_dict()),
               run / 'epoch_2.pth')
    page = write_report([run], tmp_path / 'report.html', images=0).read_text(encoding='utf-8')
    section = page.split('<section id="knowledge">')[1].split('</section>')[0]
    assert 'Left out' not in section
    shown = [json.loads(text) for text in re.findall(
        r'<script type="application/json">(.*?)</script>', section, re.S)]
    assert shown
    for figure in shown:
        titles = [figure['layout'][axis]['title']['text'] for axis in ('xaxis', 'xaxis2')]
        assert titles == ['τ = 1', 'τ = 2']
        student, teacher, student_2, teacher_2 = figure['data']
        assert [bar['name'] for bar in figure['data']] == ['ctkd', 'teacher'] * 2
        assert teacher['xaxis'] == 'x' and teacher_2['xaxis'] == 'x2'
        assert set(teacher['y']) < set(CLASSES)  # six of them, no background
        for one, two in ((student, student_2), (teacher, teacher_2)):
            p = np.array(one['x'])
            z = np.log(p.clip(1e-9) / (1 - p))
            # the page has four digits of p, whose error grows to its root where p is small
            np.testing.assert_allclose(two['x'], 1 / (1 + np.exp(-z / 2)), atol=.008)


def test_a_teacher_with_a_background_beside_a_student_without():
    figure = knowledge_figure(['a', 'b', 'background'], [1.0], [
        ('teacher', 'black', None, [[.2, .5, .3]]), ('pkd', 'blue', 'm0', [[.6, .1]])])
    student, teacher = figure['data']
    assert student['y'] == teacher['y'] == ['a', 'background', 'b']
    assert teacher['x'] == [.2, .3, .5] and student['x'] == [.6, None, .1]
