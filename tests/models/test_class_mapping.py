"""A teacher that knows the student's classes among others."""
import numpy as np
import pytest
import torch
from mmengine.config import Config

import families
import helpers
from ctkd_det.models.teachers import TeacherError
from ctkd_det.models.teachers.checkpoint import classes_of_checkpoint
from ctkd_det.models.teachers.classes import (
    ClassMapping,
    check_number_of_classes,
    classes_of_config,
    different_classes,
)

KNOWN = ('cat', 'dog', 'bird', 'fish')


def mapping(how='by_name', names=KNOWN, num_teacher=4, num_student=2, sigmoids=False):
    return ClassMapping(how, 't.pth', names, num_teacher, num_student, sigmoids)


def test_gathers_in_the_students_order_and_the_rest_is_background():
    mapped = mapping()
    mapped.settle(('fish', 'dog'))
    logits = torch.tensor([[1., 2, 3, 4, 5], [0, -1, 0, -1, 2]])
    assert mapped(logits)[:, :2].tolist() == [[4, 2], [-1, -1]]  # fish, dog
    p = logits.softmax(1)
    expected = torch.stack([p[:, 3], p[:, 1], p[:, 0] + p[:, 2] + p[:, 4]], 1)
    torch.testing.assert_close(mapped(logits).softmax(1), expected)


def test_an_object_of_a_class_that_the_student_lacks_is_no_confident_positive():
    """A truck, by a teacher that is certain: to a student of cars it is background."""
    mapped = mapping(names=('car', 'truck', 'bus'), num_teacher=3, num_student=1)
    mapped.settle(('car', ))
    car, background = mapped(torch.tensor([[4., 10, 3, 1]])).softmax(1)[0].tolist()
    assert car == pytest.approx(0.0025, abs=5e-5) and background == pytest.approx(0.9975, abs=5e-5)


def test_sigmoid_heads_have_no_background():
    mapped = mapping(sigmoids=True)
    mapped.settle(['bird', 'cat'])
    assert mapped(torch.tensor([[1., 2, 3, 4]])).tolist() == [[3, 1]]


def test_missing_names_are_listed():
    with pytest.raises(TeacherError, match=r"does not know \['cow', 'Dog'\]"):
        mapping(num_student=3).settle(('cow', 'cat', 'Dog'))


def test_the_head_must_have_as_many_classes_as_the_data():
    for how, names in (('by_name', KNOWN), (None, KNOWN), (None, None)):
        with pytest.raises(TeacherError, match='data set has 2 class names, its head 3 classes.*'
                                               'lower case'):
            mapping(how, names, num_student=3).settle(('cat', 'dog'))


@pytest.mark.parametrize('names', [None, KNOWN[:2]])
def test_names_must_be_known(names):
    with pytest.raises(TeacherError, match=r'the 4 classes of t.pth are not known.*metainfo'):
        mapping(names=names)
    with pytest.raises(TeacherError, match=r"student's class names are not known.*check_classes"):
        mapping()(torch.zeros(1, 5))


def test_without_a_mapping_the_error_says_that_there_is_one():
    with pytest.raises(TeacherError, match="4 classes, the student 2.*\n.*class_mapping='by_name'"):
        check_number_of_classes(None, 't.pth', 4, 2)
    with pytest.raises(TeacherError, match="class_mapping='by_name'"):
        mapping(how=None, num_student=4).settle(KNOWN[::-1])
    with pytest.raises(ValueError, match="None or 'by_name', got 'index'"):
        check_number_of_classes('index', 't.pth', 4, 4)


@pytest.mark.parametrize('loader', ['train_dataloader', 'test_dataloader'])
def test_names_from_the_teachers_config(loader):
    dataset = dict(type='CocoDataset', metainfo=dict(classes=KNOWN))
    wrapped = dict(type='RepeatDataset', times=2, dataset=dict(type='ConcatDataset',
                                                               datasets=[dataset]))
    for found in (dataset, wrapped):
        assert classes_of_config(Config({loader: dict(dataset=found)}), 4) == KNOWN
    assert classes_of_config(Config({loader: dict(dataset=dataset)}), 3) is None
    assert classes_of_config(Config({}), 4) is None
    coco = classes_of_config(Config({loader: dict(dataset=dict(type='CocoDataset'))}), 80)
    assert coco[0] == 'person' and len(coco) == 80


@pytest.mark.parametrize('meta', [
    dict(dataset_meta=dict(classes=KNOWN)), dict(dataset_meta=dict(CLASSES=KNOWN)),
    dict(CLASSES=KNOWN), dict(dataset_meta=None, CLASSES=KNOWN)])
def test_names_in_checkpoints_of_every_age(meta):
    assert classes_of_checkpoint(dict(meta=meta)) == KNOWN


@pytest.mark.parametrize('classes, found', [
    (['a', 'b'], ('a', 'b')), ({0: 'a', 1: 'b'}, ('a', 'b')), ([], None), (None, None)])
def test_other_ways_to_state_names(classes, found):
    assert classes_of_checkpoint(dict(meta=dict(dataset_meta=dict(classes=classes)))) == found


@pytest.mark.parametrize('classes, kind', [
    (3, 'int'), ('apple', 'str'), ({'a', 'b'}, 'set'), (torch.tensor([1, 2]), 'Tensor'),
    (np.arange(2), 'ndarray'), ({1: 'a', 2: 'b'}, 'dict'), ({'a': 0}, 'dict'), ([b'a'], 'list')])
def test_what_are_no_names_is_refused(classes, kind, teacher, tmp_path):
    checkpoint = torch.load(teacher['teacher_ckpt'])
    checkpoint['meta']['dataset_meta']['classes'] = classes
    torch.save(checkpoint, tmp_path / 'changed.pth')
    with pytest.raises(TeacherError, match=rf'changed\.pth states classes \({kind}\) that'):
        helpers.build(helpers.distill(helpers.student_config(), dict(
            teacher, teacher_ckpt=str(tmp_path / 'changed.pth'))))


@pytest.fixture
def coco_teacher(tmp_path):
    """80 classes, stated by nobody but the type of the data set in its config."""
    cfg = families.tiny('faster')
    cfg.model.roi_head.bbox_head.num_classes = 80
    cfg.train_dataloader = dict(dataset=dict(type='CocoDataset'))
    return families.save_teacher(tmp_path, cfg, classes=())


def student(coco_teacher, temperature=2.0):
    cfg = helpers.distill(families.tiny('cascade'), dict(coco_teacher, class_mapping='by_name'),
                          dict(loss_kd=dict(type='KDLoss', temperature=temperature)))
    for head in cfg.model.roi_head.bbox_head:
        head.num_classes = 3
    return helpers.build(cfg).train()


def test_an_80_class_teacher_for_3_classes(coco_teacher):
    model = student(coco_teacher)
    model.teacher.check_classes(('dog', 'person', 'zebra'))
    data, asked, answers = helpers.batch(model), [], []
    for sample in data['data_samples']:
        sample.gt_instances.labels %= 3
    head = model.teacher_model.roi_head.bbox_head
    head.register_forward_hook(lambda module, args, out: asked.append(out[0]))
    model.distill_losses['loss_kd'].register_forward_pre_hook(
        lambda module, args: answers.append(args[1]))
    losses = model(**data, mode='loss')
    assert len(asked) == len(answers) == 3 and losses['s2.loss_kd'] > 0
    for raw, given in zip(asked, answers, strict=True):
        # COCO: person 0, dog 16, zebra 22
        assert torch.equal(given[:, :3], raw[:, [16, 0, 22]])
        torch.testing.assert_close(given.softmax(1)[:, :3], raw.softmax(1)[:, [16, 0, 22]])


def test_the_mean_over_a_cascades_stages_is_mapped(tmp_path):
    """A mean of logits: to take the background's share of each stage first gives another one."""
    cfg = families.tiny('cascade')
    for head in cfg.model.roi_head.bbox_head:
        head.num_classes = 4
    teacher = families.save_teacher(tmp_path, cfg, classes=KNOWN)
    cfg = helpers.distill(families.tiny('faster'), dict(
        teacher, class_mapping='by_name', teacher_stage='mean'), dict(
            loss_kd=dict(type='KDLoss', temperature=2.0)))
    cfg.model.roi_head.bbox_head.num_classes = 2
    model, asked, answers = helpers.build(cfg).train(), [], []
    model.teacher.check_classes(('fish', 'dog'))
    for head in model.teacher_model.roi_head.bbox_head:
        head.register_forward_hook(lambda module, args, out: asked.append(out[0]))
    model.distill_losses['loss_kd'].register_forward_pre_hook(
        lambda module, args: answers.append(args[1]))
    data = helpers.batch(model)
    for sample in data['data_samples']:
        sample.gt_instances.labels %= 2
    model(**data, mode='loss')
    mean = sum(asked) / 3
    expected = torch.stack([mean[:, 3], mean[:, 1], mean[:, [0, 2, 4]].exp().sum(1).log()], 1)
    torch.testing.assert_close(answers[0], expected)


def test_the_runner_tells_the_names(coco_teacher, shapes, tmp_path):
    """The student's data set has other names than COCO: the run stops and lists them."""
    cfg = helpers.use_data(helpers.student_config(), shapes)
    helpers.distill(cfg, dict(coco_teacher, class_mapping='by_name'))
    with pytest.raises(TeacherError, match=r"does not know \['triangle', 'square'"):
        helpers.run(cfg, tmp_path / 'run')


@pytest.mark.parametrize('sigmoids', [False, True])
def test_the_same_classes_in_another_order_give_the_same_loss(sigmoids, tmp_path):
    order = list(reversed(range(len(helpers.CLASSES))))
    classifier = dict(bbox_head=dict(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=sigmoids)))
    kd = dict(type='BinaryKDLoss' if sigmoids else 'KDLoss', temperature=2.0)
    plain = helpers.make_teacher(tmp_path, roi_head=classifier)
    weights = torch.load(plain['teacher_ckpt'])
    for key in ('roi_head.bbox_head.fc_cls.weight', 'roi_head.bbox_head.fc_cls.bias'):
        weights['state_dict'][key] = weights['state_dict'][key][[*order, len(order)]]
    weights['meta']['dataset_meta']['classes'] = tuple(helpers.CLASSES[i] for i in order)
    torch.save(weights, tmp_path / 'turned.pth')
    turned = dict(plain, teacher_ckpt=str(tmp_path / 'turned.pth'), class_mapping='by_name')
    losses = []
    for teacher in (plain, turned):
        cfg = helpers.distill(helpers.student_config(), teacher, dict(loss_kd=kd))
        cfg.model.roi_head.merge(classifier)
        model = helpers.build(cfg).train()
        model.teacher.check_classes(helpers.CLASSES)
        torch.manual_seed(0)
        losses.append(model(**helpers.batch(model), mode='loss')['loss_kd'].item())
    # the same numbers, summed over the classes in the same order
    assert losses[0] == pytest.approx(losses[1], rel=1e-6) and losses[0] > 0


@pytest.mark.parametrize('teacher, student, said', [
    (('cat', 'dog'), ('dog', 'cat'), "0: 'cat' / 'dog', 1: 'dog' / 'cat'"),
    (('cat', 'dog', 'bird'), ('cat', 'dog'), "only the teacher has 'bird'"),
    (('cat', ), ('kit', 'dog', 'bird'), "0: 'cat' / 'kit', only the student has 'dog', 'bird'"),
    (('caf\u00e9', 'dog'), ('cafe\u0301', 'dog'), r"0: 'caf\xe9' / 'cafe\u0301'"),
    (('k\xe4se', ), ('brot', ), "0: 'k\xe4se' / 'brot'")])
def test_different_classes_are_told_apart(teacher, student, said):
    message = different_classes('t.pth', teacher, student)
    assert f'Different (index: teacher / student): {said}\n' in message
