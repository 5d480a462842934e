"""A teacher whose neck needs a larger padding multiple than the student's batch has."""
import pytest
import torch
import torch.nn.functional as F
from mmengine.hub import get_config

import families
from ctkd_det.models.teachers import FrozenTeacher
from ctkd_det.models.teachers.neck_levels import padding_need
from helpers import batch, build, distill

PKD = dict(loss_pkd=dict(type='PKDLoss'))


def nas_fpn():
    """It rounds down: 3 rows of stride 32 are 1 of stride 64, where FPN's are 2."""
    cfg = families.tiny('retinanet')
    cfg.model.neck = dict(type='NASFPN', in_channels=[8, 16, 32, 64], out_channels=16, num_outs=5,
                          stack_times=1, start_level=1, norm_cfg=dict(type='BN'))
    return cfg


def yolov3():
    cfg = get_config('mmdet::yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py')
    cfg.model.backbone.init_cfg = None
    return cfg


def config(name):
    return {'nas_fpn': nas_fpn, 'yolov3': yolov3}.get(name, lambda: families.tiny(name))()


@pytest.fixture(scope='module')
def teacher_of(tmp_path_factory):
    return families.saved_teachers(tmp_path_factory, config)


def distilled(student, teacher, losses, **options):
    cfg = distill(config(student), dict(teacher, **options), losses)
    cfg.model.type = {'deformable': 'KnowledgeDistillationDeformableDETR'}.get(
        student, 'KnowledgeDistillationDenseDetector')
    return build(cfg).train()


@pytest.mark.parametrize('name, need', [
    ('retinanet', 1), ('faster', 1), ('dino', 1), ('yolof', 1), ('rtmdet', 32), ('yolox', 32),
    ('yolov3', 32), ('nas_fpn', 128)])
def test_the_multiple_that_a_neck_needs(name, need):
    assert padding_need(build(config(name)))[0] == need
    assert padding_need(torch.nn.Linear(1, 1))[0] == 1  # refused where necks are compared


@pytest.mark.parametrize('name', ['rtmdet', 'yolox', 'yolov3'])
def test_a_neck_of_another_multiple_teaches_a_detr(teacher_of, name):
    """Whose batches are not padded: 72 pixels are 9, 5 and 3 positions."""
    model = distilled('deformable', teacher_of(name), PKD)
    data = batch(model, size=72)
    assert data['inputs'].shape[2:] == (72, 72)
    seen = []
    model.distill_losses['loss_pkd'].register_forward_pre_hook(
        lambda module, args: seen.append(args))
    assert model(**data, mode='loss')['loss_pkd'] > 0
    (student, teacher), = seen
    assert [x.shape[2:] for x in teacher[:3]] == [x.shape[2:] for x in student[:3]] == [
        (size, size) for size in (9, 5, 3)]
    assert len(model.teacher.predict(data['inputs'], data['data_samples'])) == 2  # to show them


def test_a_neck_that_rounds_down_answers_for_the_students_locations(teacher_of):
    model = distilled('retinanet', teacher_of('nas_fpn'),
                      dict(PKD, loss_kd=dict(type='BinaryKDLoss', temperature=1.0)))
    losses = model(**batch(model, size=96), mode='loss')
    assert losses['loss_kd'] > 0 and losses['loss_pkd'] > 0


@pytest.mark.parametrize('options', [{}, dict(fold=True), dict(teacher_scale=1.5), dict(
    compile=dict(backend='eager')), dict(dtype='bfloat16')], ids=str)
def test_the_maps_are_those_of_the_padded_images_cut(teacher_of, options):
    student = build(config('retinanet'))
    made = teacher_of('rtmdet')
    teacher = FrozenTeacher(made['teacher_config'], made['teacher_ckpt'], student, **options)
    data = batch(student, size=32 if 'teacher_scale' in options else 72)
    images = data['inputs'][..., :72, :]
    images = images[..., :48] if 'teacher_scale' not in options else images
    found = teacher.features(images, data['data_samples'])
    images = teacher.prepare(images, data['data_samples'])
    height, width = images.shape[2:]
    assert height % 32 or width % 32
    expected = teacher.model.extract_feat(F.pad(images, (0, -width % 32, 0, -height % 32)))
    for x, y, stride in zip(found, expected, (8, 16, 32), strict=True):
        sizes = [-(-side // stride) for side in (height, width)]
        assert list(x.shape[2:]) == sizes and x.is_contiguous()
        tolerance = dict(rtol=0.1, atol=0.1) if 'dtype' in options else {}
        torch.testing.assert_close(x, y[..., :sizes[0], :sizes[1]], **tolerance)


@pytest.mark.parametrize('student, teacher', [
    ('retinanet', 'retinanet'), ('nas_fpn', 'nas_fpn'), ('rtmdet', 'rtmdet')])
def test_where_student_and_teacher_need_the_same_nothing_changes(teacher_of, student, teacher):
    """Both necks round down alike; and a student dies itself of a batch that its neck refuses."""
    model = distilled(student, teacher_of(teacher), PKD)
    images = batch(model, size=160)['inputs']
    assert model.teacher.padding.images(images) is images
    maps = model.teacher_model.extract_feat(images)
    assert model.teacher.padding.maps(maps, images) is maps


def test_a_batch_that_fits_is_left_alone(teacher_of):
    model = distilled('deformable', teacher_of('rtmdet'), PKD)
    images = torch.zeros(1, 3, 64, 96)
    assert model.teacher.padding.images(images) is images


def test_an_ordinary_teacher_is_looked_at_twice(teacher_of):
    model, calls = build(config('retinanet')), []
    model.backbone.register_forward_pre_hook(lambda module, args: calls.append(args[0].size(2)))
    assert padding_need(model)[0] == 1 and calls == [128, 129]
