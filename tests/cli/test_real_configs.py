"""Configs as people have them: pure Python, odd folders, no validation, and what is refused."""
import re

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from cli.conftest import ELSEWHERE, coco, distill, invoke, write
from ctkd_det_cli.export.source import differences
from helpers import CONFIGS, make_teacher, student_config

PURE = '''
from mmengine.config import read_base
from mmdet.models import FasterRCNN
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs
from mmcv.transforms import LoadImageFromFile
from torch.optim import SGD

with read_base():
    from .parts import *

model.update(type=FasterRCNN)
train_dataloader.dataset.update(pipeline=[
    dict(type=LoadImageFromFile), dict(type=LoadAnnotations, with_bbox=True),
    dict(type=PackDetInputs)])
optim_wrapper.optimizer.update(type=SGD)
'''


def said(result):
    return ' '.join(result.output.split())


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    made = make_teacher(tmp_path_factory.mktemp('teacher'))
    return ['--teacher', made['teacher_config'], '--teacher-ckpt', made['teacher_ckpt']]


@pytest.fixture
def pure(tmp_path):
    """The example's student in MMEngine's pure-Python style, with a base of its own."""
    student_config().dump(tmp_path / 'parts.py')
    (tmp_path / 'pure.py').write_text(PURE)
    return tmp_path / 'pure.py'


def detector(path):
    init_default_scope('mmdet')
    return MODELS.build(Config.fromfile(path).model)


def test_a_student_in_pure_python(pure, teacher, shapes, tmp_path):
    """A copy with names lies beside the config, since ``_base_`` cannot name the original."""
    result = distill(pure, *teacher, '--data', shapes, '--method', 'kd', '--out', tmp_path / 'x.py')
    assert result.exit_code == 0, result.output
    cfg = Config.fromfile(tmp_path / 'x.py')
    assert "_base_ = 'pure_as_text.py'" in (tmp_path / 'x.py').read_text()
    assert cfg.optim_wrapper.optimizer.type == 'SGD'
    assert [step.type for step in cfg.train_dataloader.dataset.pipeline] == [
        'LoadImageFromFile', 'LoadAnnotations', 'PackDetInputs']
    copy = Config.fromfile(tmp_path / 'pure_as_text.py')
    assert copy.model == student_config().model and 'FasterRCNN' not in copy
    torch.save(dict(state_dict=detector(tmp_path / 'x.py').state_dict()), tmp_path / 'x.pth')
    exported = invoke('export', tmp_path / 'x.py', tmp_path / 'x.pth', '--out', tmp_path / 'out',
                      '--shape', 64, 64)
    assert exported.exit_code == 0, exported.output
    assert Config.fromfile(tmp_path / 'out' / 'x.py').model.type == 'FasterRCNN'


def test_a_teacher_in_pure_python(pure, teacher, tmp_path):
    result = distill(CONFIGS / 'shapes' / 'student.py', '--teacher', pure, *teacher[2:],
                     '--method', 'kd', '--out', tmp_path / 'x.py')
    assert result.exit_code == 0, result.output
    assert detector(tmp_path / 'x.py').teacher.model.roi_head.bbox_head.num_classes == 8


def test_export_of_a_distillation_in_pure_python(pure, teacher, tmp_path):
    pure.write_text(PURE.replace('from mmdet.models import FasterRCNN', (
        'from ctkd_det.models import KDLoss, '
        'KnowledgeDistillationTwoStageDetector as FasterRCNN')) + (
            f'model.update(teacher_config={teacher[1]!r}, teacher_ckpt={teacher[3]!r}, '
            'distill_losses=dict(loss_kd=dict(type=KDLoss, temperature=2.0)))\n'))
    torch.save(dict(state_dict=detector(pure).state_dict()), tmp_path / 'x.pth')
    result = invoke('export', pure, tmp_path / 'x.pth', '--out', tmp_path / 'out',
                    '--shape', 64, 64)
    assert result.exit_code == 0, result.output
    plain = Config.fromfile(tmp_path / 'out' / 'pure.py')
    assert plain.model.type == 'TwoStageDetector' and 'ctkd' not in plain.pretty_text
    # a dumped config has the classes' paths
    (tmp_path / 'run').mkdir()
    Config.fromfile(pure).dump(tmp_path / 'run' / 'pure.py')
    assert differences(pure, tmp_path / 'run' / 'epoch_1.pth') == []


def test_the_students_own_data_are_looked_at(shapes, teacher, tmp_path):
    """MMDetection ignores CLASSES, and takes COCO's 80 names for a head of 8."""
    (tmp_path / 's.py').write_text(
        f'_base_ = {str(CONFIGS / "shapes" / "student.py")!r}\n'
        f'train_dataloader = dict(dataset=dict(data_root={str(shapes)!r}, '
        "metainfo=dict(_delete_=True, CLASSES=('triangle', ))))\n"
        f'val_dataloader = dict(dataset=dict(data_root={str(shapes)!r}))\n')
    result = distill(tmp_path / 's.py', *teacher, '--out', tmp_path / 'x.py')
    assert result.exit_code == 1 and not (tmp_path / 'x.py').exists()
    assert "metainfo has 'CLASSES', which MMDetection ignores" in said(result)
    assert 'num_classes=8' in said(result)


@pytest.mark.parametrize('name, folder', [
    ('faster-rcnn_r50_fpn_gn-ws-all_1x_coco', 'gn+ws'),
    ('faster-rcnn_r50_fpn_1x_coco_v1', 'legacy_1.x')])
def test_folders_that_mmengine_cannot_name(name, folder, tmp_path):
    result = distill(name, '--teacher', name, '--teacher-ckpt', ELSEWHERE, '--out',
                     tmp_path / 'x.py')
    assert result.exit_code == 0, result.output
    cfg = Config.fromfile(tmp_path / 'x.py')
    assert f'/{folder}/' in cfg.model.teacher_config and cfg.model.backbone.depth == 50


def test_a_student_that_does_not_validate(teacher, shapes, tmp_path):
    (tmp_path / 's.py').write_text(f'_base_ = {str(CONFIGS / "shapes" / "student.py")!r}\n'
                                   'val_cfg = val_dataloader = val_evaluator = None\n')
    result = distill(tmp_path / 's.py', *teacher, '--data', shapes, '--out', tmp_path / 'x.py')
    assert result.exit_code == 0, result.output
    cfg = Config.fromfile(tmp_path / 'x.py')
    assert cfg.val_dataloader is None is cfg.val_evaluator
    assert cfg.train_dataloader.dataset.data_root == f'{shapes}/'


@pytest.mark.parametrize('student, message', [
    ('panoptic-fpn_r50_fpn_1x_coco', 'a PanopticFPN cannot be distilled: it has its own .*loss'),
    ('htc_r50_fpn_1x_coco', 'HybridTaskCascadeRoIHead cannot be distilled.*semantic_feat'),
    ('convnext', 'cannot be read: it needs the module mmpretrain.*pip install mmpretrain'),
    ('rpn_r50_fpn_1x_coco', 'a RPN cannot be distilled: it has its own loss')])
def test_refused_before_a_file_is_written(student, message, teacher, tmp_path):
    if student == 'convnext':
        student = 'mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco'
    result = distill(student, '--teacher', student, '--teacher-ckpt', teacher[3], '--out',
                     tmp_path / 'x.py')
    assert result.exit_code == 1 and not (tmp_path / 'x.py').exists()
    assert re.search(message, said(result)), result.output


def test_weights_for_other_classes(tmp_path, teacher):
    data = write(tmp_path / 'data', dict(train=('train.json', 'train'), val=('val.json', 'val')),
                 coco(['cat', 'dog']))
    (tmp_path / 's.py').write_text(
        f'_base_ = {str(CONFIGS / "shapes" / "student.py")!r}\n'
        'model = dict(roi_head=dict(bbox_head=dict(loss_cls=dict(class_weight=[1.0] * 9))))\n')
    result = distill(tmp_path / 's.py', *teacher, '--data', data, '--out', tmp_path / 'x.py')
    assert result.exit_code == 1 and not (tmp_path / 'x.py').exists()
    assert 'weighs its 8 classes one by one' in said(result) and 'the data have 2' in said(result)
    assert distill(tmp_path / 's.py', *teacher, '--out', tmp_path / 'x.py').exit_code == 0


@pytest.mark.parametrize('change, message', [
    ("model = dict(backbone=dict(type='mmpretrain.ConvNeXt'))", 'package mmpretrain.*pip install'),
    ("model = dict(backbone=dict(type='ResNett'))", "type='ResNett'.*perhaps ResNet"),
    ("model = dict(backbone=dict(depht=50))", "ResNet has no argument 'depht'; perhaps depth"),
    ("custom_imports = dict(imports=['my_own.thing'])", "needs the module my_own"),
    ('model = dict(data_preprocessor=None)', 'does not say how its images are normalised')])
def test_what_cannot_be_built(change, message, teacher, tmp_path):
    (tmp_path / 's.py').write_text(
        f'_base_ = {str(CONFIGS / "shapes" / "student.py")!r}\n{change}\n')
    result = distill(tmp_path / 's.py', *teacher, '--out', tmp_path / 'x.py')
    assert result.exit_code == 1 and not (tmp_path / 'x.py').exists()
    assert re.search(message, said(result)), result.output
