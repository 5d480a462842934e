"""Single-stage students: from one command line to a config that builds, and to a plain detector."""
import re

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from cli.conftest import ELSEWHERE, distill, invoke
from ctkd_det_cli.distill.methods import read_method
from ctkd_det_cli.distill.student import heads_for
from families import DENSE, DETR, TWO_STAGE, save_teacher, tiny
from helpers import CLASSES, CONFIGS, build, student_config

RETINANET = 'retinanet_r50_fpn_1x_coco'


def save_student(folder, family):
    """mmdet's config of a family with COCO's 80 classes, but thin."""
    cfg = get_config(f'mmdet::{({**DENSE, **DETR})[family]}').to_dict()
    cfg['model'] = tiny(family).model.to_dict()
    cfg['model']['bbox_head']['num_classes'] = 80
    path = folder / f'{family}.py'
    path.write_text(''.join(f'{key} = {value!r}\n' for key, value in cfg.items()))
    return path


# the other families differ in their losses only
@pytest.fixture(params=['retinanet', 'fcos', 'gfl', 'rtmdet', 'yolox'])
def family(request):
    return request.param


@pytest.fixture
def line(family, shapes, tmp_path):
    """A student of COCO's classes, and a teacher of the 8 of the data."""
    teacher = save_teacher(tmp_path, tiny(family))
    return [save_student(tmp_path, family), '--teacher', teacher['teacher_config'],
            '--teacher-ckpt', teacher['teacher_ckpt'], '--data', shapes, '--inherit', 'neck',
            '--out', tmp_path / 'x.py']


def test_every_family_builds_and_is_exported(line, family, tmp_path):
    plain_type = get_config(f'mmdet::{({**DENSE, **DETR})[family]}').model.type
    result = distill(*line)
    assert result.exit_code == 0, result.output
    cfg = Config.fromfile(tmp_path / 'x.py')
    assert cfg.model.type == 'KnowledgeDistillationDenseDetector'
    assert cfg.val_evaluator.metric == 'bbox' and cfg.model.inherit == ['neck']
    shipped = Config.fromfile(CONFIGS / 'ctkd' / 'retinanet_r18_fpn_ctkd-r101_1x_coco.py')
    assert cfg.model.distill_losses == shipped.model.distill_losses
    assert cfg.custom_hooks[-len(shipped.custom_hooks):] == shipped.custom_hooks
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    assert model.bbox_head.num_classes == model.bbox_head.cls_out_channels == len(CLASSES)
    theta = model.distill_losses['loss_ctkd'].temperature.theta
    group, = [g for g in build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
              if any(p is theta for p in g['params'])]
    if cfg.optim_wrapper.optimizer.type == 'SGD':
        assert group['lr'] == pytest.approx(0.05 * cfg.optim_wrapper.optimizer.lr)
    assert group['weight_decay'] == 0
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'epoch_1.pth')

    exported = invoke('export', tmp_path / 'x.py', tmp_path / 'epoch_1.pth', '--out',
                      tmp_path / 'student', '--shape', 64, 64)
    assert exported.exit_code == 0, exported.output
    text = (tmp_path / 'student' / 'x.py').read_text().replace(str(tmp_path), '')
    assert not re.search('ctkd|distill|teacher|inherit|Curriculum', text)
    plain = Config.fromfile(tmp_path / 'student' / 'x.py')
    assert plain.model.type == plain_type
    student = build(plain)
    assert type(student) is MODELS.get(plain_type)
    student.load_state_dict(torch.load(tmp_path / 'student' / 'x.pth')['state_dict'], strict=True)
    head = student.bbox_head.state_dict()
    assert head and all(torch.equal(value, head[key])
                        for key, value in model.bbox_head.state_dict().items())


def test_losses_between_boxes_by_name(shapes, tmp_path):
    """A temperature of classes and one of boxes, with one multiplier; a plain student comes out."""
    teacher = save_teacher(tmp_path, tiny('gfl'))
    line = ['--teacher', teacher['teacher_config'], '--teacher-ckpt', teacher['teacher_ckpt'],
            '--data', shapes, '--out', tmp_path / 'x.py', '--method']
    result = distill(save_student(tmp_path, 'gfl'), *line, 'ctkd+ctkd_ld+boxkd')
    assert result.exit_code == 0, result.output
    cfg = Config.fromfile(tmp_path / 'x.py')
    assert {name: loss.type for name, loss in cfg.model.distill_losses.items()} == dict(
        loss_ctkd='BinaryKDLoss', loss_ld='LDLoss', loss_boxkd='BoxKDLoss')
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    rates = {id(p): (group['lr'], group['weight_decay']) for group in groups
             for p in group['params']}
    for name in ('loss_ctkd', 'loss_ld'):
        theta = model.distill_losses[name].temperature.theta
        assert rates[id(theta)] == (pytest.approx(0.05 * cfg.optim_wrapper.optimizer.lr), 0)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'epoch_1.pth')
    exported = invoke('export', tmp_path / 'x.py', tmp_path / 'epoch_1.pth', '--out',
                      tmp_path / 'student', '--shape', 64, 64)
    assert exported.exit_code == 0, exported.output
    student = build(Config.fromfile(tmp_path / 'student' / 'x.py'))
    student.load_state_dict(torch.load(tmp_path / 'student' / 'x.pth')['state_dict'], strict=True)
    assert torch.equal(student.bbox_head.gfl_reg.weight, model.bbox_head.gfl_reg.weight)
    refused = distill(save_student(tmp_path, 'atss'), *line, 'ld', '--force')
    assert refused.exit_code == 1
    assert re.search('ATSSHead regresses no distribution', ' '.join(refused.output.split()))


def test_a_dumped_config_has_mmdets_base_class(shapes, tmp_path):
    """It has no base to say RetinaNet, which is SingleStageDetector by another name."""
    teacher = save_teacher(tmp_path, tiny('retinanet'))
    assert distill(save_student(tmp_path, 'retinanet'), '--teacher', teacher['teacher_config'],
                   '--teacher-ckpt', teacher['teacher_ckpt'], '--data', shapes, '--method', 'kd',
                   '--out', tmp_path / 'x.py').exit_code == 0
    cfg = Config.fromfile(tmp_path / 'x.py')
    loss, = cfg.model.distill_losses.values()
    assert loss == dict(type='BinaryKDLoss', temperature=1.0, foreground_weight=0.5)
    assert [hook.type for hook in cfg.custom_hooks] == ['CheckDataHook']
    assert 'custom_keys' not in str(cfg.optim_wrapper)
    cfg.dump(tmp_path / 'dumped.py')
    init_default_scope('mmdet')
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), tmp_path / 'epoch_1.pth')
    result = invoke('export', tmp_path / 'dumped.py', tmp_path / 'epoch_1.pth', '--out',
                    tmp_path / 'student', '--shape', 64, 64)
    assert result.exit_code == 0, result.output
    plain = Config.fromfile(tmp_path / 'student' / 'dumped.py')
    assert plain.model.type == 'SingleStageDetector' and plain.model.bbox_head.num_classes == 8


@pytest.mark.parametrize('student, teacher, method, recipe', [
    ('retinanet_r18_fpn_1x_coco', 'retinanet_r101_fpn_2x_coco', 'ctkd',
     'ctkd/retinanet_r18_fpn_ctkd-r101_1x_coco.py'),
    ('dab-detr_r18_8xb2-50e_coco', 'dab-detr_r50_8xb2-50e_coco', 'kd_detr',
     'kd_detr/dab-detr_r18_kd-detr-r50_50e_coco.py')])
def test_config_of_two_names(student, teacher, method, recipe, tmp_path):
    """What the shipped recipe says."""
    result = distill(student, '--teacher', teacher, '--method', method,
                     '--teacher-ckpt', 'auto', '--out', tmp_path / 'x.py')
    assert result.exit_code == 0, result.output
    recipe = Config.fromfile(CONFIGS / recipe)
    found = Config.fromfile(tmp_path / 'x.py')
    assert found.model.to_dict() == recipe.model.to_dict()
    assert found.optim_wrapper.to_dict() == recipe.optim_wrapper.to_dict()


@pytest.mark.parametrize('student, teacher, options, message', [
    (RETINANET, RETINANET, ['--method', 'dkd'],
     'method dkd is not for this student: .*sigmoids.* there are ctkd, kd,'),
    (RETINANET, RETINANET, ['--method', 'ctkd+dist'], 'method dist is not for this student'),
    ('faster-rcnn_r50_fpn_1x_coco', 'faster-rcnn_r101_fpn_2x_coco', ['--method', 'ctkd_sigmoid'],
     'ctkd_sigmoid is not for this student: .*a softmax.* there are ctkd, kd, .*ctkd_class'),
    (RETINANET, RETINANET, ['--method', 'kd_detr'],
     'method kd_detr is not for this student: it sets distilled_queries, which a Know.* ctkd and'),
    (RETINANET, 'faster-rcnn_r101_fpn_2x_coco', [],
     'is a single-stage detector, the teacher .* a two-stage one.*Take a single-stage teacher'),
    ('faster-rcnn_r50_fpn_1x_coco', RETINANET, [],
     'is a two-stage detector, the teacher .* a single-stage one.*Take a two-stage teacher'),
    (RETINANET, RETINANET, ['--teacher-stage', '0'], 'a single-stage teacher has no stages'),
    (RETINANET, RETINANET, ['--inherit', 'rpn_head'], "'backbone', 'bbox_head', 'neck'"),
    (RETINANET, 'atss_r50_fpn_1x_coco', [], 'other anchors or points.*num_base_priors'),
    ('ssd300_coco', RETINANET, [], 'ssd300.*SSDHead cannot be distilled'),
    ('rtmdet_s_8xb32-300e_coco', RETINANET, [],
     'anchors or points .*strides .* take a teacher with the same ones, .*--method pkd, fgd'),
    ('detr_r50_8xb2-150e_coco', RETINANET, [],
     'a DETR cannot be distilled: only two-stage and single-stage')])
def test_what_cannot_be_distilled(student, teacher, options, message, tmp_path):
    result = distill(student, '--teacher', teacher, '--teacher-ckpt',
                     ELSEWHERE, *options, '--out', tmp_path / 'x.py')
    assert result.exit_code == 1 and not (tmp_path / 'x.py').exists()
    assert re.search(message, ' '.join(result.output.split())), result.output


@pytest.mark.parametrize('family, method', [('retinanet', 'dkd'), ('faster', 'kd_sigmoid'),
                                            ('conditional', 'dkd')])
def test_methods_that_are_named_instead_are_taken(family, method, tmp_path):
    student = tmp_path / 'student.py'
    cfg = get_config(f'mmdet::{({**TWO_STAGE, **DENSE, **DETR})[family]}').to_dict()
    cfg['model'] = tiny(family).model.to_dict()
    cfg['train_dataloader']['dataset']['metainfo'] = dict(classes=CLASSES)
    student.write_text(''.join(f'{key} = {value!r}\n' for key, value in cfg.items()))
    line = ['--teacher', student, '--teacher-ckpt', ELSEWHERE,
            '--out', tmp_path / 'x.py', '--force']
    refused = ' '.join(distill(student, '--method', method, *line).output.split())
    named = re.search('For all of its kind there are (.*)$', refused).group(1).split(', ')
    assert {'ctkd', 'kd', 'pkd'} < set(named)
    assert ('srrl' in named) == (family == 'faster')
    for other in named:
        taken = distill(student, '--method', other, *line)
        assert taken.exit_code == 0, taken.output


def test_queries_at_random_places_are_refused_before_a_file_is_written(tmp_path):
    student, out = tmp_path / 'conditional.py', tmp_path / 'x.py'
    cfg = tiny('conditional')
    trained = student_config()
    cfg.update({part: trained[part] for part in ('train_dataloader', 'train_cfg', 'optim_wrapper')})
    cfg.dump(student)
    result = distill(student, '--teacher', student, '--teacher-ckpt',
                     ELSEWHERE, '--method', 'kd_detr', '--out', out)
    assert result.exit_code == 1 and not out.exists()
    assert re.search("method kd_detr is not for this student: .*places of a Conditional DETR's .*"
                     "learned vectors.*take 'teacher', in a config of yours",
                     ' '.join(result.output.split())), result.output


def test_another_classifier_than_the_teachers(tmp_path):
    """A Faster R-CNN whose box head ends in sigmoids."""
    (tmp_path / 'sigmoids.py').write_text(
        "_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'\n"
        'model = dict(roi_head=dict(bbox_head=dict(loss_cls=dict(use_sigmoid=True))))\n')
    line = ['--teacher-ckpt', ELSEWHERE, '--out', tmp_path / 'x.py']
    refused = distill(tmp_path / 'sigmoids.py', '--teacher', 'faster-rcnn_r101_fpn_2x_coco', *line)
    assert refused.exit_code == 1 and not (tmp_path / 'x.py').exists()
    assert re.search(r'the classifier of the student .* ends in sigmoids .*, that of the teacher '
                     r'.* in a softmax', refused.output)
    taken = distill(tmp_path / 'sigmoids.py', '--teacher', tmp_path / 'sigmoids.py', *line)
    assert taken.exit_code == 0, taken.output
    model = Config.fromfile(tmp_path / 'x.py').model
    assert model.type == 'KnowledgeDistillationTwoStageDetector'
    assert model.distill_losses.loss_ctkd.type == 'BinaryKDLoss'


def test_short_names_mean_the_fragment_for_the_classifier():
    for short, full in (('ctkd', 'ctkd_sigmoid'), ('kd', 'kd_sigmoid')):
        assert read_method(short, 3, sigmoids=True) == read_method(full, 3, sigmoids=True)
    both = read_method('ctkd+kd', 3, sigmoids=True)
    assert {key: loss['type'] for key, loss in both.losses.items()} == dict(
        loss_ctkd='BinaryKDLoss', loss_kd='BinaryKDLoss')


def test_only_what_depends_on_the_classes_changes_in_the_head():
    head = dict(type='RetinaHead', num_classes=80, in_channels=80, loss_cls=dict(num_classes=80))
    assert heads_for(head, 80, 5) == dict(num_classes=5, loss_cls=dict(num_classes=5))


def test_crossed_heads_are_in_the_config_and_not_in_the_exported_student(shapes, tmp_path):
    teacher = save_teacher(tmp_path, tiny('gfl'))
    result = distill(save_student(tmp_path, 'gfl'), '--teacher', teacher['teacher_config'],
                     '--teacher-ckpt', teacher['teacher_ckpt'], '--data', shapes, '--method',
                     'crosskd_pkd', '--out', tmp_path / 'x.py')
    assert result.exit_code == 0, result.output
    cfg = Config.fromfile(tmp_path / 'x.py')
    shipped = Config.fromfile(CONFIGS / 'crosskd' / 'gfl_r18_fpn_crosskd-pkd-r101_1x_coco.py')
    assert cfg.model.cross_head == shipped.model.cross_head
    assert cfg.model.distill_losses == shipped.model.distill_losses
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    assert model.teacher.cross.layer == 1
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'epoch_1.pth')
    exported = invoke('export', tmp_path / 'x.py', tmp_path / 'epoch_1.pth', '--out',
                      tmp_path / 'student', '--shape', 64, 64)
    assert exported.exit_code == 0, exported.output
    assert 'cross_head' not in (tmp_path / 'student' / 'x.py').read_text()


def test_heads_that_cannot_be_crossed_are_refused_before_a_file_is_written(shapes, tmp_path):
    student, teacher = tiny('gfl'), save_teacher(tmp_path, tiny('yolof'))
    student.model.bbox_head.feat_channels = 8
    for model, reason in ((tiny('yolof').model, 'YOLOFHead has no two towers'),
                          (student.model, 'give the student bbox_head=dict(feat_channels=16)')):
        if model.bbox_head.type == 'GFLHead':
            teacher = save_teacher(tmp_path, tiny('gfl'))
        path = tmp_path / 'student.py'
        path.write_text(f'model = {model.to_dict()!r}')
        result = distill(path, '--teacher', teacher['teacher_config'], '--teacher-ckpt',
                         teacher['teacher_ckpt'], '--method', 'crosskd', '--out',
                         tmp_path / 'x.py')
        assert result.exit_code == 1 and reason in result.output, result.output
        assert not (tmp_path / 'x.py').exists()
