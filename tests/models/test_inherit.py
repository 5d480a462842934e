"""A student that starts with its teacher's neck and heads."""
import logging
from contextlib import nullcontext

import pytest
import torch
from mmengine.logging import MessageHub, MMLogger

from ctkd_det.models.detectors.start_checks import check_start
from ctkd_det.models.teachers import TeacherError
from helpers import CLASSES, build, distill, make_teacher, run, student_config, use_data


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    """A teacher of which no weight is the student's."""
    made = make_teacher(tmp_path_factory.mktemp('teacher'))
    checkpoint = torch.load(made['teacher_ckpt'])
    for value in checkpoint['state_dict'].values():
        if value.is_floating_point():
            value += 0.25
    torch.save(checkpoint, made['teacher_ckpt'])
    return made


@pytest.fixture(scope='module')
def other(tmp_path_factory):
    """A teacher with a wider box head than the student's."""
    return make_teacher(tmp_path_factory.mktemp('other'),
                        roi_head=dict(bbox_head=dict(fc_out_channels=32)))


def student(teacher, inherit):
    cfg = distill(student_config(), teacher)
    cfg.model.inherit = inherit
    return cfg


def same(a, b, prefix):
    a, b = ({k: v for k, v in x.items() if k.startswith(f'{prefix}.')} for x in (a, b))
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_named_parts_are_the_teachers_and_the_rest_is_plain_mmdets(teacher):
    plain = build(student_config()).state_dict()
    model = build(student(teacher, ['neck', 'roi_head.bbox_head']))
    found, theirs = model.state_dict(), model.teacher_model.state_dict()
    for part in ('neck', 'roi_head'):
        assert same(found, theirs, part) and not same(found, plain, part)
    for part in ('backbone', 'rpn_head'):
        assert same(found, plain, part) and not same(found, theirs, part)
    # copied, not shared: training the student leaves the teacher alone
    model.neck.lateral_convs[0].conv.weight.data.zero_()
    assert theirs['neck.lateral_convs.0.conv.weight'].abs().sum() > 0


def test_running_statistics_count(teacher):
    model = build(student(teacher, 'backbone'))
    assert model.backbone.bn1.running_mean.mean() == 0.25


def test_the_log_says_what_was_copied_and_what_not(other, caplog):
    logger = MMLogger.get_instance('inherit')
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO):
        model = build(student(other, ['rpn_head', 'roi_head']))
    said = '\n'.join(r.getMessage() for r in caplog.records if 'inherit:' in r.getMessage())
    copied, others = said.split('\n')
    assert copied.startswith('inherit: 8 weights copied') and 'rpn_head.rpn_cls.weight' in copied
    assert 'fc_cls.bias' in copied  # one for each class, whatever the width
    assert 'shared_fcs.1' not in copied and 'fc_cls.weight' not in copied
    assert 'roi_head.bbox_head.fc_cls.weight' in others and 'shared_fcs.0.weight' in others
    assert same(model.state_dict(), model.teacher_model.state_dict(), 'rpn_head')


@pytest.mark.parametrize('inherit', ['nek', ['neck', 'roi_head.mask_head'], ['nec']])
def test_names_that_match_nothing_are_refused(inherit, teacher):
    with pytest.raises(ValueError, match=r"inherit: '(nek|roi_head.mask_head|nec)' names no weights"
                                         r".*'backbone'.*'neck'"):
        build(student(teacher, inherit))


def test_a_part_of_another_shape_is_refused(other):
    with pytest.raises(ValueError, match=r"'roi_head.bbox_head.shared_fcs'.*4 of the student have"):
        build(student(other, ['roi_head.bbox_head.shared_fcs']))


def standing_still(cfg, shapes):
    cfg = use_data(cfg, shapes)
    cfg.train_cfg.update(max_epochs=1, val_interval=10)
    cfg.optim_wrapper.optimizer.update(lr=0.0)
    return cfg


def test_survives_the_runners_initialisation(teacher, shapes, tmp_path):
    runner = run(standing_still(student(teacher, ['neck', 'rpn_head']), shapes), tmp_path / 'run')
    theirs = runner.model.teacher_model.state_dict()
    assert same(runner.model.state_dict(), theirs, 'neck')
    assert same(runner.model.state_dict(), theirs, 'rpn_head')


@pytest.mark.parametrize('resume', [False, True])
def test_a_checkpoint_has_the_last_word(resume, teacher, shapes, tmp_path):
    run(standing_still(distill(student_config(), teacher), shapes), tmp_path / 'first')
    saved = torch.load(tmp_path / 'first' / 'epoch_1.pth')
    cfg = standing_still(student(teacher, 'neck'), shapes)
    cfg.update(load_from=str(tmp_path / 'first' / 'epoch_1.pth'), resume=resume)
    cfg.train_cfg.max_epochs = 2
    runner = run(cfg, tmp_path / 'second')
    assert same(runner.model.state_dict(), saved['state_dict'], 'neck')
    assert not same(runner.model.state_dict(), runner.model.teacher_model.state_dict(), 'neck')


def test_an_inherited_head_has_the_students_classes_whatever_is_compared(tmp_path):
    """Nothing else compares the names where only features are compared."""
    turned = make_teacher(tmp_path, classes=CLASSES[::-1])
    for inherit, refused in (['neck'], False), (['neck', 'roi_head.bbox_head'], True):
        cfg = distill(student_config(), turned, dict(loss_pkd=dict(type='PKDLoss')))
        cfg.model.inherit = inherit
        teacher = build(cfg).teacher
        teacher.check_classes(CLASSES[::-1])
        with pytest.raises(TeacherError, match=r"inherit: \['roi_head.bbox_head'\].*0: '") if (
                refused) else nullcontext():
            teacher.check_classes(CLASSES)


@pytest.mark.parametrize('inherit, bgr, warned', [
    ('backbone', True, True), ('backbone', False, False), ('neck', True, False)])
def test_a_backbone_of_other_images_is_inherited_with_a_warning(inherit, bgr, warned, tmp_path,
                                                                caplog):
    other = dict(data_preprocessor=dict(bgr_to_rgb=False, std=[1., 1., 1.])) if bgr else {}
    model = build(student(make_teacher(tmp_path, **other), inherit))
    training = MessageHub('inherit')
    training.update_info_dict(dict(max_iters=10, max_epochs=1))
    logger = MMLogger.get_instance(str(tmp_path))  # a new one is the current one
    logger.addHandler(caplog.handler)
    check_start(model, training)
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(said) == warned
    assert not warned or "teacher's: BGR" in said[0] and "student's: RGB" in said[0] and (
        'std [1.0, 1.0, 1.0]' in said[0])


def test_a_head_is_not_inherited_where_its_classes_may_be_in_another_order(teacher):
    cfg = student(teacher, ['neck', 'roi_head'])
    cfg.model.class_mapping = 'by_name'
    with pytest.raises(ValueError, match="inherit.*'roi_head'.*class_mapping"):
        build(cfg)
    cfg.model.inherit = ['neck']
    build(cfg)
