"""Who may teach whom, decided on built detectors."""
import pytest
from mmdet.models.detectors import FasterRCNN, RetinaNet
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope

import families
import helpers
from ctkd_det.models import (
    KnowledgeDistillationDenseDetector,
    KnowledgeDistillationTwoStageDetector,
)
from ctkd_det.models.detectors import distilled_class
from ctkd_det.models.teachers import FrozenTeacher, TeacherError, check_pair
from ctkd_det.models.teachers.stages import teaching_stages


@pytest.fixture(scope='module')
def detectors():
    return {name: helpers.build(families.tiny(name))
            for name in ('faster', 'cascade', 'retinanet', 'atss', 'gfl')}


def classes(detector, number):
    detector = helpers.build(families.tiny(detector))
    head = detector.bbox_head if hasattr(detector, 'bbox_head') else detector.roi_head.bbox_head
    head.num_classes = number
    return detector


@pytest.mark.parametrize('student, teacher', [
    ('faster', 'cascade'), ('cascade', 'faster'), ('retinanet', 'retinanet'), ('atss', 'gfl')])
def test_pairs_that_fit(student, teacher, detectors):
    check_pair(detectors[student], detectors[teacher], inherit=['neck'])


@pytest.mark.parametrize('student, teacher, options, error, message', [
    ('faster', 'retinanet', {}, TeacherError,
     'the student is a two-stage detector, the teacher a single-stage one.*Take a two-stage'),
    ('retinanet', 'atss', {}, TeacherError, 'other anchors or points.*num_base_priors'),
    ('retinanet', 'retinanet', dict(teacher_stage=0), ValueError, 'single-stage .* no stages'),
    ('faster', 'cascade', dict(teacher_stage=3), ValueError, 'has 3 stages, 0 to 2'),
    ('faster', 'faster', dict(inherit=['nek']), ValueError, "'nek' names no weights"),
    ('faster', 'faster', dict(inherit=['roi_head'], class_mapping='by_name'), ValueError,
     "inherit.*order of classes"),
    ('faster', 'faster', dict(class_mapping='by_number'), ValueError, "None or 'by_name'")])
def test_pairs_that_do_not(student, teacher, options, error, message, detectors):
    with pytest.raises(error, match=message):
        check_pair(detectors[student], detectors[teacher], **options)


@pytest.mark.parametrize('student, teacher', [('softmax', 'sigmoids'), ('sigmoids', 'softmax')])
def test_a_softmax_and_sigmoids_do_not_mix(student, teacher, detectors, monkeypatch):
    """The error says which teacher to take, of which losses any would do."""
    heads = dict(softmax=detectors['gfl'], sigmoids=detectors['atss'])
    monkeypatch.setattr(detectors['gfl'].bbox_head.loss_cls, 'use_sigmoid', False)
    ends = dict(softmax='a softmax', sigmoids='sigmoids')[student]
    with pytest.raises(TeacherError, match=f'whose classifier ends in {ends}, or losses between'):
        check_pair(heads[student], heads[teacher])


@pytest.mark.parametrize('student, teacher, sources, reason', [
    ('faster', 'tridentnet/tridentnet_r50-caffe_1x_coco.py', 'logits', 'TridentRoIHead cannot be'),
    ('faster', 'htc/htc_r50_fpn_1x_coco.py', 'logits', 'depend on semantic_feat'),
    ('faster', 'sabl', 'boxes', 'boxes of SABLHead cannot'),
    ('atss', 'ssd/ssd300_coco.py', 'logits', 'SSDHead cannot be distilled'),
    ('atss', 'rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py', 'boxes', 'RTMDetInsSepBNHead cannot'),
    ('atss', 'atss/atss_r50_fpn_1x_coco.py', 'distributions', 'ATSSHead regresses no distrib')])
def test_refused_heads_come_with_what_to_take(student, teacher, sources, reason, detectors):
    init_default_scope('mmdet')
    model = (families.tiny(teacher) if teacher in families.TWO_STAGE
             else get_config(f'mmdet::{teacher}')).model
    teacher = MODELS.build(model)
    with pytest.raises(TypeError, match=f'{reason}.*Take another detector, or losses between the'):
        check_pair(detectors[student], teacher, sources=[sources])


def test_numbers_of_classes(detectors):
    few, many = classes('faster', 3), classes('faster', 80)
    with pytest.raises(TeacherError, match="80 classes, the student 8.*\n.*class_mapping='by_name"):
        check_pair(detectors['faster'], many)
    check_pair(detectors['faster'], many, class_mapping='by_name')
    for how in (None, 'by_name'):  # with fewer, some are missing whatever their names
        with pytest.raises(TeacherError, match=r'T has 3 classes, the student 8\. It was trained '
                                               r"on \('a', 'b', 'c'\)\. Take .*these classes$"):
            check_pair(detectors['faster'], few, class_mapping=how, teacher_name='T',
                       teacher_classes=('a', 'b', 'c'))


@pytest.mark.parametrize('sources', [('neck', ), ('logits', )])
def test_a_wrapper_of_detectors_is_called_one(sources, detectors, tmp_path):
    """Its data_preprocessor, for several views of an image, was called missing."""
    model = get_config(
        'mmdet::soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py').model
    model.detector = families.tiny('faster').model
    teacher = families.save_teacher(tmp_path, Config(dict(model=model)),
                                    weights=helpers.build(Config(dict(model=model))).state_dict())
    with pytest.raises(TeacherError, match='^a SoftTeacher has no backbone of its own'):
        FrozenTeacher(teacher['teacher_config'], teacher['teacher_ckpt'], detectors['faster'],
                      sources=sources)


def test_where_only_features_are_compared_any_teacher_goes(detectors):
    """Neither kind, nor classes, nor anchors matter; inheriting still does."""
    for student, teacher in (('faster', 'retinanet'), ('retinanet', 'cascade'),
                             ('retinanet', 'atss')):
        check_pair(detectors[student], detectors[teacher], sources=('neck', ))
    check_pair(detectors['faster'], classes('retinanet', 3), sources=('neck', ))
    with pytest.raises(ValueError, match="'rpn_head' names no weights"):
        check_pair(detectors['faster'], detectors['retinanet'], inherit=['rpn_head'],
                   sources=('neck', ))
    for option in (dict(class_mapping='by_name'), dict(teacher_stage=0)):
        with pytest.raises(ValueError, match='no loss of distill_losses compares logits'):
            check_pair(detectors['faster'], detectors['retinanet'], sources=('neck', ), **option)


def test_a_teacher_of_features_only(tmp_path, detectors):
    """The base class shows a RetinaNet's neck to a Faster R-CNN, whatever its classes."""
    made = families.save_teacher(tmp_path, families.tiny('retinanet'), classes=('a', ))
    student = detectors['faster']
    teacher = FrozenTeacher(made['teacher_config'], made['teacher_ckpt'], student=student)
    teacher.check_classes(('b', 'c'))
    data = helpers.batch(student)
    features = teacher.features(data['inputs'], data['data_samples'])
    assert [len(features), features[0].shape[0]] == [5, 2]
    assert not hasattr(teacher, 'map_classes')


def test_stages():
    assert teaching_stages(None, 3, 3, 'T') == [[0], [1], [2]]
    assert teaching_stages(None, 3, 1, 'T') == [[0]]
    assert teaching_stages(None, 1, 3, 'T') == [[0]] * 3
    assert teaching_stages('mean', 3, 2, 'T') == [[0, 1, 2]] * 2
    assert teaching_stages(2, 3, 2, 'T') == [[2], [2]]
    with pytest.raises(TeacherError, match='T is a cascade of 3 stages, the student of 2'):
        teaching_stages(None, 3, 2, 'T')
    with pytest.raises(ValueError, match='teacher_stage=1: T has 1 stage, 0$'):
        teaching_stages(1, 1, 1, 'T')


class OwnLoss(FasterRCNN):

    def loss(self, batch_inputs, batch_data_samples):
        return {}


class OwnName(RetinaNet):
    pass


def test_the_class_that_a_distillation_extends():
    assert distilled_class(FasterRCNN) is KnowledgeDistillationTwoStageDetector
    assert distilled_class(OwnName) is KnowledgeDistillationDenseDetector
    with pytest.raises(TypeError, match='OwnLoss cannot be distilled: it has its own loss, which'):
        distilled_class(OwnLoss)
    with pytest.raises(TypeError, match='only two-stage and single-stage'):
        distilled_class(dict)
