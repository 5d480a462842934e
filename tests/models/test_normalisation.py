"""Images normalised by the pipeline, the data_preprocessor, or both: the teacher sees its own."""
from collections import deque

import numpy as np
import pytest
import torch
from mmcv.transforms import Normalize
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseDataPreprocessor

import helpers
from ctkd_det.models.detectors.start_checks import check_start
from ctkd_det.models.teachers import TeacherError
from ctkd_det.models.teachers.inputs import InputConverter
from ctkd_det.models.teachers.normalisation import (
    normalisation,
    pipeline_of,
    preprocessor_for_plain_images,
    without_normalisation,
)

RGB = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
CAFFE = dict(mean=[103.53, 116.28, 123.675], std=[1.0, 2.0, 3.0])
IN_PIPELINE = dict(type='Normalize', to_rgb=True, **RGB)
PLAIN = DetDataPreprocessor()


def seen(image, pipeline, preprocessor):
    """What mmcv's transforms and mmdet's preprocessor make of an (H, W, 3) BGR image."""
    for options in pipeline:
        options = {key: value for key, value in options.items() if key != 'type'}
        image = Normalize(**options).transform(dict(img=image))['img']
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return preprocessor(dict(inputs=[tensor], data_samples=None))['inputs']


WAYS = {
    'preprocessor': ([], DetDataPreprocessor(bgr_to_rgb=True, **RGB)),
    'caffe': ([], DetDataPreprocessor(**CAFFE)),
    'pipeline': ([IN_PIPELINE], PLAIN),
    'pipeline without to_rgb': ([dict(type='mmcv.Normalize', **RGB)], PLAIN),  # True by default
    'by class': ([dict(type=Normalize, to_rgb=False, **CAFFE)], PLAIN),
    'both': ([dict(IN_PIPELINE)], DetDataPreprocessor(
        mean=[0.1, 0.2, 0.3], std=[2.0, 3.0, 4.0], bgr_to_rgb=True)),
    'nothing': ([], PLAIN)}


@pytest.mark.parametrize('teacher', WAYS)
@pytest.mark.parametrize('student', WAYS)
def test_every_way_converts_to_every_other(student, teacher):
    image = np.random.default_rng(0).integers(0, 256, (8, 6, 3)).astype(np.uint8)
    sample = DetDataSample(metainfo=dict(img_shape=(8, 6)))
    images, expected = (seen(image, *WAYS[way]) for way in (student, teacher))
    convert = InputConverter(*(normalisation(WAYS[way][1], WAYS[way][0], way)
                               for way in (student, teacher)))
    # float32 on pixels up to 255, through two roundings each
    torch.testing.assert_close(convert(images, [sample]), expected, atol=3e-4, rtol=1e-5)


def pipeline_config(*transforms):
    return dict(train_dataloader=dict(dataset=dict(type='RepeatDataset', dataset=dict(
        type='CocoDataset', pipeline=[dict(type='LoadImageFromFile'), *transforms]))))


@pytest.mark.parametrize('own', [
    dict(type='DetDataPreprocessor', pad_size_divisor=4), None,
    dict(type='DetDataPreprocessor', mean=[0.1, 0.2, 0.3], std=[2.0, 3.0, 4.0], rgb_to_bgr=True)])
def test_one_preprocessor_in_place_of_the_pipeline(own):
    """The report shows the teacher images of the student's pipeline."""
    config = dict(pipeline_config(IN_PIPELINE), model=dict(data_preprocessor=own))
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    alone = MODELS.build(preprocessor_for_plain_images(config, 'the teacher'))
    expected = seen(image, [IN_PIPELINE], MODELS.build(own) if own else PLAIN)
    # float32: one rounding in place of two
    torch.testing.assert_close(seen(image, [], alone)[..., :8, :8], expected, atol=1e-5, rtol=1e-5)
    assert alone.pad_size_divisor == (own or {}).get('pad_size_divisor', 1 if own else 32)
    assert [t['type'] for t in without_normalisation(pipeline_of(config))] == ['LoadImageFromFile']
    plain = dict(pipeline_config(), model=dict(data_preprocessor=own))
    assert preprocessor_for_plain_images(plain, 'the teacher') is None


def test_where_the_pipeline_stands():
    assert pipeline_of({}) == [] == pipeline_of(dict(train_dataloader=None, data=None))
    assert pipeline_of(pipeline_config(IN_PIPELINE))[1] == IN_PIPELINE
    mixed = dict(val_dataloader=dict(dataset=dict(type='MultiImageMixDataset', pipeline=[2],
                                                  dataset=dict(type='C', pipeline=[1]))))
    assert pipeline_of(mixed) == [1, 2]
    old = dict(data=dict(samples_per_gpu=2, train=dict(type='C', pipeline=[IN_PIPELINE])))
    assert pipeline_of(old) == [IN_PIPELINE]  # MMDetection 2.x


@pytest.mark.parametrize('transform, kind', [
    (dict(type='RandomApply', transforms=[IN_PIPELINE], prob=0.5), 'RandomApply'),
    (dict(type='Albu', transforms=[dict(type='Normalize')]), 'Albu'),
    (dict(type='MyNormalize'), 'MyNormalize')])
def test_what_cannot_be_read_is_refused(transform, kind):
    with pytest.raises(TeacherError, match=f'pipeline of T normalises images inside {kind}'):
        normalisation(PLAIN, [transform], 'T')


def test_no_statement_at_all_is_refused():
    with pytest.raises(TeacherError, match='T does not say how its images are normalised.*2.x'):
        normalisation(BaseDataPreprocessor(), [dict(type='LoadImageFromFile')], 'T')
    found = normalisation(BaseDataPreprocessor(), [IN_PIPELINE], 'T')
    assert found.reverse and found.std.flatten().tolist() == pytest.approx(RGB['std'])


def teacher_in_pipeline(folder, preprocessor):
    made = helpers.make_teacher(folder)
    cfg = Config.fromfile(made['teacher_config'])
    cfg.model.data_preprocessor = preprocessor
    cfg.train_dataloader.dataset.pipeline.insert(2, IN_PIPELINE)
    cfg.dump(folder / 'in_pipeline.py')
    return dict(made, teacher_config=str(folder / 'in_pipeline.py'))


@pytest.mark.parametrize('preprocessor', [
    dict(type='DetDataPreprocessor', pad_size_divisor=32), None])
def test_a_teacher_that_was_normalised_by_its_pipeline(preprocessor, tmp_path):
    """The student's preprocessor does the same: the images reach the teacher as they are."""
    model = helpers.build(helpers.distill(
        helpers.student_config(), teacher_in_pipeline(tmp_path, preprocessor)))
    data = helpers.batch(model)
    assert model.teacher.prepare(data['inputs'], data['data_samples']) is data['inputs']


def trained_by(made, folder, **meta):
    """The teacher with a checkpoint that states the config of its training."""
    checkpoint = torch.load(made['teacher_ckpt'])
    checkpoint['meta'].update(meta)
    torch.save(checkpoint, folder / 'stated.pth')
    return helpers.distill(helpers.student_config(),
                           dict(made, teacher_ckpt=str(folder / 'stated.pth')))


def text_of(preprocessor, *transforms, **model):
    return Config(dict(pipeline_config(*transforms), model=dict(
        type='FasterRCNN', data_preprocessor=preprocessor, **model))).pretty_text


IMAGENET = dict(type='mmdet.DetDataPreprocessor', bgr_to_rgb=True, pad_size_divisor=32, **RGB)
OF_2X = "data = dict(train=dict(type='RepeatDataset', times=3, dataset=dict(pipeline=[{}])))"


OTHERWISE = {
    'caffe': (dict(cfg=text_of(dict(IMAGENET, bgr_to_rgb=False, **CAFFE))),
              r'own config: BGR, mean \[103.53, 116.28, 123.675\], std \[1.0, 2.0, 3.0\]\. '
              r'teacher_config: RGB, mean \[123.675, '),
    'channels': (dict(cfg=text_of(dict(IMAGENET, bgr_to_rgb=False))), 'own config: BGR, mean .123'),
    'plain': (dict(cfg=text_of(dict(type='DetDataPreprocessor'))), r'own config: BGR, mean \[0.0'),
    'twice': (dict(cfg=text_of(IMAGENET, IN_PIPELINE)), 'own config: BGR'),
    '2.x': (dict(config=OF_2X.format(dict(IN_PIPELINE, to_rgb=False))), 'own config: BGR')}


@pytest.mark.parametrize('kind', OTHERWISE)
def test_weights_of_images_that_are_normalised_otherwise(kind, teacher, tmp_path):
    """They fit: strict loading cannot tell them."""
    meta, said = OTHERWISE[kind]
    with pytest.raises(TeacherError, match=f'otherwise than teacher_config says.*{said}'):
        helpers.build(trained_by(teacher, tmp_path, **meta))


AGREEING = {
    'the same': text_of(IMAGENET),
    'rounded': text_of(dict(IMAGENET, mean=[124, 116, 104], std=[58, 57, 57])),
    'in the pipeline': text_of(None, IN_PIPELINE),
    'beside the model': Config(dict(model=dict(type='A'), data_preprocessor=IMAGENET)).pretty_text,
    '2.x': OF_2X.format(IN_PIPELINE),
    'nothing said': text_of(None),
    'unknown': text_of(dict(type='MyPreprocessor', mean=[1, 2, 3], std=[4, 5, 6])),
    'inside another': text_of(None, dict(type='Albu', transforms=[dict(type='Normalize')])),
    'a base': "_base_ = ['a.py']\nmodel = dict(data_preprocessor=dict(**img_norm_cfg))",
    'no values': text_of(dict(IMAGENET, mean='123', std=None)),
    'no config': '(' * 500}


@pytest.mark.parametrize('kind', AGREEING)
def test_weights_whose_config_agrees_or_does_not_tell(kind, teacher, tmp_path):
    helpers.build(trained_by(teacher, tmp_path, cfg=AGREEING[kind]))


class Told:
    """A training that says what its Runner would."""

    def __init__(self, config):
        self.info = dict(cfg=config.pretty_text, max_iters=10, max_epochs=2)

    def get_info(self, key, default=None):
        return self.info.get(key, default)


@pytest.mark.parametrize('own', [
    dict(a=range(3)), dict(b=[set(), frozenset([1]), slice(1, 2), 1 + 2j]), dict(c=deque([1]))],
    ids=str)
def test_values_of_a_config_that_say_nothing_of_images(own, teacher):
    """mmengine dumps them; a training whose pipeline normalises ended at its start."""
    model = helpers.build(helpers.distill(helpers.student_config(), teacher))
    before = model.teacher.convert.student
    check_start(model, Told(Config(dict(pipeline_config(IN_PIPELINE), **own))))
    after, expected = model.teacher.convert.student, normalisation(
        model.data_preprocessor, [IN_PIPELINE], 'the student')
    assert torch.equal(after.mean, expected.mean) and not torch.equal(after.mean, before.mean)


def test_a_teacher_that_states_nothing(tmp_path):
    made = helpers.make_teacher(tmp_path)
    cfg = Config.fromfile(made['teacher_config'])
    cfg.model.data_preprocessor = None
    cfg.dump(tmp_path / 'nothing.py')
    made['teacher_config'] = str(tmp_path / 'nothing.py')
    with pytest.raises(TeacherError, match='does not say how its images are normalised'):
        helpers.build(helpers.distill(helpers.student_config(), made))
    # a Runner takes one that stands beside the model
    cfg.model.pop('data_preprocessor')
    cfg.data_preprocessor = dict(type='DetDataPreprocessor', **CAFFE)
    made['teacher_config'] = cfg.to_dict()
    model = helpers.build(helpers.distill(helpers.student_config(), made))
    assert model.teacher.convert.teacher.std.flatten().tolist() == CAFFE['std']


def test_a_student_that_is_normalised_by_its_pipeline(shapes, tmp_path):
    """In a Runner's training its config is known: the teacher sees what the student sees."""
    cfg = helpers.student_config(shapes, max_epochs=1)
    made = helpers.make_teacher(tmp_path)
    cfg.model.data_preprocessor = dict(type='DetDataPreprocessor', pad_size_divisor=32)
    cfg.train_dataloader.dataset.pipeline.insert(2, IN_PIPELINE)
    cfg.train_cfg.val_interval = 9
    inputs = {}

    class Watch(Hook):
        def before_train(self, runner):
            runner.model.backbone.register_forward_pre_hook(see('student'))
            runner.model.teacher_model.backbone.register_forward_pre_hook(see('teacher'))

    def see(who):
        def hook(module, args):
            inputs.setdefault(who, args[0].clone())

        return hook

    helpers.run(helpers.distill(cfg, made), tmp_path / 'run', hooks=[Watch()])
    assert inputs['student'].min() < 0
    torch.testing.assert_close(inputs['teacher'], inputs['student'], atol=1e-5, rtol=1e-5)
