"""A teacher that is not what the config says stops the program, with a reason."""
import copy
import shutil
from pathlib import Path

import pytest
import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor

from ctkd_det.models.teachers import TeacherError
from ctkd_det.models.teachers.inputs import InputConverter
from ctkd_det.models.teachers.normalisation import normalisation
from helpers import CLASSES, batch, build, distill, make_teacher, student_config


def build_with(teacher: dict):
    return build(distill(student_config(), teacher))


def resave(teacher, tmp_path, change):
    """The teacher's arguments with a changed copy of its checkpoint."""
    checkpoint = torch.load(teacher['teacher_ckpt'])
    change(checkpoint)
    path = tmp_path / 'changed.pth'
    torch.save(checkpoint, path)
    return dict(teacher, teacher_ckpt=str(path))


class RunsCode:

    def __reduce__(self):
        return print, ('this ran', )


def test_loads_every_weight(teacher):
    model = build_with(teacher)
    saved = torch.load(teacher['teacher_ckpt'])['state_dict']
    loaded = model.teacher_model.state_dict()
    assert saved.keys() == loaded.keys()
    assert all(torch.equal(saved[k], loaded[k]) for k in saved)


def test_missing_file(teacher):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth.*--teacher-ckpt auto'):
        build_with(dict(teacher, teacher_ckpt='nowhere.pth'))
    nearby = Path(teacher['teacher_ckpt']).with_name('techer.pth')
    with pytest.raises(FileNotFoundError, match=f'In {nearby.parent} there are teacher.pth'):
        build_with(dict(teacher, teacher_ckpt=str(nearby)))


@pytest.mark.parametrize('nothing', [None, ''])
def test_no_file_given(teacher, nothing):
    with pytest.raises(TeacherError, match='teacher_ckpt is missing'):
        build_with(dict(teacher, teacher_ckpt=nothing))


def test_failed_download(teacher):
    # nothing listens on port 9 of this machine
    with pytest.raises(TeacherError, match=r'https://127.0.0.1:9/t\.pth.*could not be downloaded'):
        build_with(dict(teacher, teacher_ckpt='https://127.0.0.1:9/t.pth'))


@pytest.mark.parametrize('where, said', [
    ('open-mmlab://nonsense', "open-mmlab://nonsense is not in mmengine's list of weights"),
    ('openmmlab://detectron2/resnet50_cafe', 'perhaps .*detectron2/resnet50_caffe'),
    ('torchvision://resnet51', 'perhaps .*resnet50'), ('mmcls://nonsense', 'not in mmengine'),
    ('s3://bucket/t.pth', 'want of a package'), ('pavi://t', 'want of a package'),
    ('ftp://here/t.pth', 'no loader knows ftp://'), ('HTTP://here/t.pth', 'not https'),
    ('file://there/t.pth', 'no file of this machine'), ('x' * 5000, 'cannot be read: .*too long'),
    ('HTTPS://127.0.0.1:9/t.pth', 'could not be downloaded')])
def test_an_address_where_nothing_can_be(teacher, where, said):
    with pytest.raises(TeacherError, match=said):
        build_with(dict(teacher, teacher_ckpt=where))


def test_a_file_by_its_address(teacher, tmp_path):
    shutil.copy(teacher['teacher_ckpt'], tmp_path / 'my teacher.pth')
    for start in ('file://', 'FILE://localhost'):
        where = f'{start}{tmp_path}/my%20teacher.pth'
        assert build_with(dict(teacher, teacher_ckpt=where)).teacher.classes == CLASSES
    with pytest.raises(FileNotFoundError, match=r'none\.pth does not exist'):
        build_with(dict(teacher, teacher_ckpt=f'file://{tmp_path}/none.pth'))


@pytest.mark.parametrize('dtype, said', [
    (torch.int8, 'holds torch.int8, not floating-point numbers, and so do'),
    (torch.complex64, 'holds torch.complex64'), (torch.bool, 'holds torch.bool')])
def test_numbers_of_another_kind_are_not_cast(teacher, tmp_path, dtype, said):
    def cast(checkpoint):
        checkpoint['state_dict'] = {k: v.to(dtype) for k, v in checkpoint['state_dict'].items()}
    with pytest.raises(TeacherError, match=said):
        build_with(resave(teacher, tmp_path, cast))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_read(teacher, tmp_path, dtype):
    """Counters too, if somebody has halved all of them."""
    def cast(checkpoint):
        checkpoint['state_dict'] = {k: v.to(dtype) for k, v in checkpoint['state_dict'].items()}
    model = build_with(resave(teacher, tmp_path, cast)).teacher_model
    saved = torch.load(teacher['teacher_ckpt'])['state_dict']
    for key, value in model.state_dict().items():
        assert torch.equal(value, saved[key].to(dtype).to(value.dtype))


@pytest.mark.parametrize('value, said', [
    ('x', 'str'), (None, 'NoneType'),
    (torch.zeros(1).as_strided((2**40, ), (0, )), 'size mismatch')])
@pytest.mark.parametrize('averaged', [True, False])
def test_values_that_are_no_weights(teacher, tmp_path, value, said, averaged):
    """Also under the names that an EMA hook gives."""
    def put(checkpoint):
        weights, name = checkpoint['state_dict'], 'backbone.bn1.num_batches_tracked'
        weights[name] = value
        if averaged:
            weights['ema_' + name.replace('.', '_')] = value
    with pytest.raises(TeacherError, match=said):
        build_with(resave(teacher, tmp_path, put))


def test_weights_as_people_save_them_by_hand(teacher, tmp_path):
    weights = torch.load(teacher['teacher_ckpt'])['state_dict']
    torch.save(dict(model=weights, epoch=3), tmp_path / 'hand.pth')
    model = build_with(dict(teacher, teacher_ckpt=str(tmp_path / 'hand.pth'))).teacher_model
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    torch.save(dict(model=weights, ema=weights), tmp_path / 'two.pth')
    with pytest.raises(TeacherError, match=r'two\.pth holds 2 sets .* entries model and ema'):
        build_with(dict(teacher, teacher_ckpt=str(tmp_path / 'two.pth')))


def test_truncated_file(teacher, tmp_path):
    content = Path(teacher['teacher_ckpt']).read_bytes()
    (tmp_path / 'half.pth').write_bytes(content[:len(content) // 2])
    with pytest.raises(TeacherError, match=r'half\.pth'):
        build_with(dict(teacher, teacher_ckpt=str(tmp_path / 'half.pth')))


@pytest.mark.parametrize('content', [b'', b'<html>not found</html>'])
def test_not_a_checkpoint(teacher, tmp_path, content):
    (tmp_path / 'page.pth').write_bytes(content)
    with pytest.raises(TeacherError, match=r'page\.pth'):
        build_with(dict(teacher, teacher_ckpt=str(tmp_path / 'page.pth')))


def test_code_is_refused_and_does_not_run(teacher, tmp_path, capsys):
    bad = resave(teacher, tmp_path, lambda c: c['meta'].update(payload=RunsCode()))
    with pytest.raises(TeacherError, match=r'changed\.pth is refused.*print'):
        build_with(bad)
    assert 'this ran' not in capsys.readouterr().out


def test_download(teacher, served):
    folder, url = served
    shutil.copy(teacher['teacher_ckpt'], folder)
    assert build_with(dict(teacher, teacher_ckpt=f'{url}/teacher.pth')).teacher.classes == CLASSES
    with pytest.raises(TeacherError, match=r'absent\.pth could not be downloaded.*404'):
        build_with(dict(teacher, teacher_ckpt=f'{url}/absent.pth'))


def test_downloaded_code_is_refused_too(teacher, served, capsys):
    folder, url = served
    resave(teacher, folder, lambda c: c['meta'].update(payload=RunsCode()))
    with pytest.raises(TeacherError, match=r'changed\.pth is refused'):
        build_with(dict(teacher, teacher_ckpt=f'{url}/changed.pth'))
    assert 'this ran' not in capsys.readouterr().out


def test_another_architecture_lists_keys_and_shapes(teacher, tmp_path):
    wider = make_teacher(tmp_path, roi_head=dict(bbox_head=dict(fc_out_channels=32)))
    with pytest.raises(TeacherError, match=r'shared_fcs\.0\.weight') as error:
        build_with(dict(teacher, teacher_ckpt=wider['teacher_ckpt']))
    assert wider['teacher_ckpt'] in str(error.value)


def test_missing_and_superfluous_keys(teacher, tmp_path):
    def move(checkpoint):
        weights = checkpoint['state_dict']
        weights['backbone.layer9.0.weight'] = weights.pop('neck.fpn_convs.0.conv.weight')

    with pytest.raises(TeacherError) as error:
        build_with(resave(teacher, tmp_path, move))
    assert 'neck.fpn_convs.0.conv.weight' in str(error.value)
    assert 'backbone.layer9.0.weight' in str(error.value)


def test_a_distillation_config_is_no_teachers_config(teacher, tmp_path):
    distill(student_config(), teacher).dump(tmp_path / 'distilled.py')
    with pytest.raises(TeacherError, match='plain config'):
        build_with(dict(teacher, teacher_config=str(tmp_path / 'distilled.py')))


def test_other_number_of_classes(tmp_path):
    teacher = make_teacher(tmp_path, classes=('a', 'b', 'c'),
                           roi_head=dict(bbox_head=dict(num_classes=3)))
    with pytest.raises(TeacherError, match=r"3 classes, the student 8.*\('a', 'b', 'c'\)"):
        build_with(teacher)


def test_other_order_of_classes_shows_both_lists(teacher):
    model = build_with(teacher)
    swapped = (CLASSES[1], CLASSES[0], *CLASSES[2:])
    model.teacher.check_classes(CLASSES)
    with pytest.raises(TeacherError, match="0: 'triangle' / 'square'") as error:
        model.teacher.check_classes(swapped)
    assert str(CLASSES) in str(error.value) and str(swapped) in str(error.value)


def test_classes_of_mmdet_2_checkpoints_are_read(teacher, tmp_path):
    model = build_with(resave(teacher, tmp_path, lambda c: c.update(meta=dict(CLASSES=CLASSES))))
    assert model.teacher.classes == CLASSES


def test_weights_saved_by_ddp_or_by_a_distilled_student_load(teacher, tmp_path):
    def rename(checkpoint):
        weights = {f'module.{k}': v for k, v in checkpoint['state_dict'].items()}
        weights['module.distill_losses.loss_ctkd.temperature.theta'] = torch.ones(1)
        checkpoint['state_dict'] = weights

    assert build_with(resave(teacher, tmp_path, rename)).teacher.classes == CLASSES


def test_is_no_part_of_the_student_but_follows_it(teacher):
    model = build_with(teacher)
    weights = list(model.teacher_model.parameters())
    assert not {id(p) for p in weights} & {id(p) for p in model.parameters()}
    assert not any('teacher' in key for key in model.state_dict())
    model.train()
    assert not any(m.training for m in model.teacher_model.modules())
    assert not any(p.requires_grad for p in weights)
    assert copy.deepcopy(model).teacher_model is model.teacher_model
    for move in (model.half, model.float, model.double, lambda: model.to('meta')):
        move()
        p = next(model.parameters())
        assert all((q.dtype, q.device) == (p.dtype, p.device)
                   for q in model.teacher_model.parameters())


def preprocessor(**kwargs):
    return DetDataPreprocessor(**{**dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True,
        pad_size_divisor=32), **kwargs})


def test_caffe_style_teacher_sees_exactly_its_own_input(teacher):
    model = build_with(teacher)
    caffe = dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False)
    student, other = preprocessor(), preprocessor(**caffe)
    # 50 pixels, so that 14 rows and columns of padding must stay zero
    image = (torch.rand(3, 50, 50, generator=torch.Generator().manual_seed(0)) * 255).byte()
    samples = batch(model, num_images=1, size=50)['data_samples']
    seen, expected = (p(dict(inputs=[image], data_samples=samples))['inputs']
                      for p in (student, other))
    convert = InputConverter(*(normalisation(p, [], 'd') for p in (student, other)))
    converted = convert(seen, samples)
    # float32 on pixels up to 255: 255 * 2^-23, a few times over
    torch.testing.assert_close(converted, expected, atol=2e-4, rtol=0)
    assert converted[:, :, 50:].abs().max() == 0 == converted[:, :, :, 50:].abs().max()


def test_equal_normalisation_is_passed_through_untouched():
    images = torch.rand(1, 3, 4, 4)
    same = normalisation(preprocessor(), [], 'd')
    assert InputConverter(same, normalisation(preprocessor(), [], 'd'))(images, []) is images


def test_images_cast_by_a_wrapper_reach_a_teacher_that_was_not(teacher):
    """FSDP's mixed precision casts inputs and parameters, but knows no teacher."""
    model = build_with(teacher)
    data = batch(model)
    rois = torch.tensor([[0, 4., 4., 40., 30.], [1, 10., 0., 60., 63.]])
    expected = model.teacher.roi_logits(data['inputs'], data['data_samples'], [rois])[0]
    images = data['inputs'].half()
    found = model.teacher.roi_logits(images, data['data_samples'], [rois.half()])[0]
    assert found.dtype == torch.float32
    # the images have lost digits: 2^-11 of about 2, through a network in float32
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
    again = model.teacher.roi_logits(images.float(), data['data_samples'], [rois])[0]
    assert torch.equal(found, again)
