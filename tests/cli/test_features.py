"""Losses between features from the command line: pairs, config, and the exported student."""
import re

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from cli.conftest import invoke
from cli.test_dense import save_student
from ctkd_det_cli.distill.methods import read_method, sources
from families import save_teacher, tiny
from helpers import build


def line(tmp_path, student, teacher, method, *options):
    made = save_teacher(tmp_path, tiny(teacher))
    return ['distill', '--dry-run', save_student(tmp_path, student) if isinstance(student, str)
            else student[0], '--teacher', made['teacher_config'], '--teacher-ckpt',
            made['teacher_ckpt'], '--method', method, '--out', tmp_path / 'x.py', *options]


def test_ctkd_and_features_in_one_config(folder, tmp_path):
    """The temperature's multiplier is for it alone; variances do not decay; gradients are cut."""
    result = invoke('distill', '--dry-run', folder / 'student.py', '--teacher',
                    folder / 'teacher/teacher.py', '--teacher-ckpt', folder / 'teacher/teacher.pth',
                    '--method', 'ctkd+vid+mgd+srrl+sskd', '--out', tmp_path / 'x.py')
    assert result.exit_code == 0, result.output
    cfg = Config.fromfile(tmp_path / 'x.py')
    assert [loss.type for loss in cfg.model.distill_losses.values()] == [
        'KDLoss', 'VIDLoss', 'MGDLoss', 'SRRLLoss', 'KDLoss', 'KDLoss', 'SSKDLoss']
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=10)  # the student's own
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    of = {id(p): group for group in groups for p in group['params']}
    base = cfg.optim_wrapper.optimizer
    for name, parameter in model.distill_losses.named_parameters():
        settings = of[id(parameter)]['lr'] / base.lr, of[id(parameter)]['weight_decay']
        assert settings == pytest.approx(
            (0.05, 0) if 'temperature' in name else
            (1, 0) if 'raw_variances' in name else (1, base.weight_decay)), name

    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'epoch_1.pth')
    exported = invoke('export', tmp_path / 'x.py', tmp_path / 'epoch_1.pth', '--out',
                      tmp_path / 'student', '--shape', 64, 64)
    assert exported.exit_code == 0, exported.output
    text = (tmp_path / 'student' / 'x.py').read_text().replace(str(tmp_path), '')
    assert not re.search('ctkd|distill|teacher|raw_variances|adapter|Curriculum', text)
    student = build(Config.fromfile(tmp_path / 'student' / 'x.py'))
    student.load_state_dict(torch.load(tmp_path / 'student' / 'x.pth')['state_dict'], strict=True)


def test_any_teacher_for_the_neck(shapes, tmp_path, folder):
    result = invoke(*line(tmp_path, 'retinanet', 'faster', 'pkd'), '--data', shapes)
    assert result.exit_code == 0, result.output
    cfg = Config.fromfile(tmp_path / 'x.py')
    assert cfg.model.type == 'KnowledgeDistillationDenseDetector'
    init_default_scope('mmdet')
    assert MODELS.build(cfg.model).distill_losses['loss_pkd'].levels == (0, 1, 2)
    result = invoke(*line(tmp_path, 'retinanet', 'faster', 'ctkd+pkd'), '--data', shapes)
    assert result.exit_code == 1
    assert 'Take a single-stage teacher, or a method that compares the necks only' in result.output


def test_necks_without_a_common_level_are_refused_before_a_file_is_written(shapes, tmp_path):
    teacher = tiny('retinanet')  # as the student, but with the finest level alone
    teacher.model.backbone.out_indices = (0, )
    teacher.model.neck.update(in_channels=[8], start_level=0, num_outs=1)
    made = save_teacher(tmp_path, teacher)
    student = save_student(tmp_path, 'retinanet')

    def result(method):
        return invoke('distill', '--dry-run', student, '--teacher', made['teacher_config'],
                      '--teacher-ckpt', made['teacher_ckpt'], '--data', shapes, '--method', method,
                      '--out', tmp_path / 'x.py')

    for method in ('pkd', 'ctkd+fgd'):
        refused = result(method)
        assert refused.exit_code == 1 and not (tmp_path / 'x.py').exists()
        assert ('Error: the necks of student and teacher have no level in common: strides '
                '[8.0, 16.0, 32.0, 64.0, 128.0] of the student, [4.0] of the teacher. Take a '
                'teacher with one of these strides of the student') in ' '.join(
                    refused.output.split())
    taken = result('ctkd')  # which does not compare the necks
    assert taken.exit_code == 0, taken.output


def test_a_teacher_whose_neck_fails_is_refused_with_a_sentence(shapes, tmp_path):
    teacher = tiny('retinanet')
    teacher.model.neck.in_channels = [8, 16, 32, 65]  # the backbone's last map has 64
    (tmp_path / 'broken.py').write_text(f'model = {teacher.model.to_dict()!r}\n')
    (tmp_path / 'broken.pth').touch()
    result = invoke('distill', '--dry-run', save_student(tmp_path, 'retinanet'), '--teacher',
                    tmp_path / 'broken.py', '--teacher-ckpt', tmp_path / 'broken.pth', '--data',
                    shapes, '--method', 'pkd', '--out', tmp_path / 'x.py')
    assert result.exit_code == 1 and not (tmp_path / 'x.py').exists()
    assert re.search(r'Error: backbone and neck of a RetinaNet fail on a black image of .*'
                     'RuntimeError: .* take another detector', ' '.join(result.output.split()))
    assert 'Traceback' not in result.output


def test_a_single_stage_student_has_no_roi_features(shapes, tmp_path):
    result = invoke(*line(tmp_path, 'retinanet', 'retinanet', 'srrl'), '--data', shapes)
    assert result.exit_code == 1
    assert 'no RoI features to compare: take a method' in result.output
    assert 'Traceback' not in result.output


def test_single_stage_students_get_the_weights_published_for_them(folder, shapes, tmp_path):
    """DETRs, too; and an explicit name is taken as it is."""
    for student, expected in (([folder / 'student.py'], 6), ('retinanet', 10), ('deformable', 10)):
        result = invoke(*line(tmp_path, student, 'faster', 'pkd'), '--data', shapes, '--force')
        assert result.exit_code == 0, result.output
        assert Config.fromfile(
            tmp_path / 'x.py').model.distill_losses.loss_pkd.loss_weight == expected
    found = {name: loss for method in ('fgd', 'mgd+cwd') for name, loss in read_method(
        method, 3, single_stage=True).losses.items()}
    assert found == dict(
        loss_fgd=dict(type='FGDLoss', loss_weight=1.0, temperature=0.5, alpha=1e-3, beta=5e-4,
                      gamma=5e-4, lambda_=5e-6),
        loss_mgd=dict(type='MGDLoss', loss_weight=2e-5, mask_ratio=0.65),
        loss_cwd=dict(type='CWDLoss', loss_weight=5.0, tau=1.0))
    assert read_method('fgd_dense', 3) == read_method('fgd', 3, single_stage=True)


def test_what_methods_compare():
    assert sources('ctkd+pkd') == {'logits', 'neck'} and sources('sp') == {'roi'}
    assert read_method('pkd', 3, sigmoids=True) == read_method('pkd', 3)
