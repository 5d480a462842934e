"""A teacher that looks at another image size than the student."""
import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import Resize
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.structures import DetDataSample

import families
import helpers
from ctkd_det.models.teachers.inputs import InputScale

SIZES = ((33, 50), (64, 41))  # height, width; no multiple of anything


def batch(sizes=SIZES):
    """Images at random, zero in the padding, and where each ends."""
    generator = torch.Generator().manual_seed(0)
    images = torch.zeros(len(sizes), 3, 64, 64)
    for image, (h, w) in zip(images, sizes, strict=True):
        image[:, :h, :w] = torch.rand(3, h, w, generator=generator) * 255
    return images, [DetDataSample(metainfo=dict(img_shape=size)) for size in sizes]


@pytest.mark.parametrize('factor', [0.5, 0.77, 1.5])
def test_is_what_mmdets_resize_does(factor):
    images, samples = batch()
    scale = InputScale(factor, DetDataPreprocessor(pad_size_divisor=32))
    out = scale.images(images, samples)
    assert out.shape[2] % 32 == out.shape[3] % 32 == 0
    rois = torch.tensor([[1, 3, 4, 30.5, 60], [0, 10, 20, 50, 33]])
    found = scale.rois(rois, samples)
    for i, (h, w) in enumerate(SIZES):
        box = rois[rois[:, 0] == i, 1:]
        resized = Resize(scale_factor=factor, clip_object_border=False)(dict(
            img=images[i, :, :h, :w].permute(1, 2, 0).contiguous().numpy(),
            gt_bboxes=box.numpy().copy()))
        new_h, new_w = resized['img_shape']
        # OpenCV interpolates in float32 too, with its own order of operations
        np.testing.assert_allclose(out[i, :, :new_h, :new_w].permute(1, 2, 0), resized['img'],
                                   atol=2e-3)
        assert out[i, :, new_h:].abs().sum() == 0 == out[i, :, :, new_w:].abs().sum()
        np.testing.assert_allclose(found[found[:, 0] == i, 1:], resized['gt_bboxes'], rtol=1e-6)


def test_rois_by_hand():
    scale = InputScale(0.5, DetDataPreprocessor())
    _, samples = batch()
    # 33 x 50 becomes 17 x 25, 64 x 41 becomes 32 x 21: halves are rounded up
    rois = torch.tensor([[0, 33., 33, 66, 66], [1, 41, 64, 82, 128]])
    torch.testing.assert_close(scale.rois(rois, samples), torch.tensor(
        [[0, 16.5, 17, 33, 34], [1, 21, 32, 42, 64]]))


def test_samples_by_hand():
    """So that predicted boxes come back in pixels of the file, here of twice the student's size."""
    _, samples = batch()
    for sample in samples:
        sample.set_metainfo(dict(scale_factor=(0.5, 0.5)))  # width, height
    found = InputScale(0.5, DetDataPreprocessor(pad_size_divisor=32)).samples(samples)
    assert [sample.img_shape for sample in found] == [(17, 25), (32, 21)]
    assert {sample.batch_input_shape for sample in found} == {(32, 32)}
    assert [sample.scale_factor for sample in found] == [
        (0.5 * 25 / 50, 0.5 * 17 / 33), (0.5 * 21 / 41, 0.5 * 32 / 64)]


def test_factor_one_touches_nothing():
    images, samples = batch()
    scale, rois = InputScale(1.0, DetDataPreprocessor(pad_size_divisor=7)), torch.ones(2, 5)
    assert scale.images(images, samples) is images and scale.rois(rois, samples) is rois


@pytest.mark.parametrize('factor', [0, -1, float('inf'), float('nan')])
def test_impossible_factors(factor):
    with pytest.raises(ValueError, match='teacher_scale must be a finite number > 0'):
        InputScale(factor, DetDataPreprocessor())


def test_the_teacher_sees_larger_images_and_rois(tmp_path):
    teacher = families.save_teacher(tmp_path, families.tiny('faster'))
    cfg = helpers.distill(families.tiny('faster'), dict(teacher, teacher_scale=1.5))
    model = helpers.build(cfg).train()
    data, seen = helpers.batch(model), {}

    def watch(detector, who):
        detector.backbone.register_forward_pre_hook(
            lambda module, args: seen.update({f'{who}_images': args[0]}))
        detector.roi_head.bbox_roi_extractor.register_forward_pre_hook(
            lambda module, args: seen.update({f'{who}_rois': args[1]}))

    watch(model, 'student')
    watch(model.teacher_model, 'teacher')
    losses = model(**data, mode='loss')
    assert losses['loss_ctkd'] > 0
    assert seen['student_images'].shape[2:] == (64, 64)
    assert seen['teacher_images'].shape[2:] == (96, 96)
    expected = seen['student_rois'] * torch.tensor([1, 1.5, 1.5, 1.5, 1.5])
    torch.testing.assert_close(seen['teacher_rois'], expected)
