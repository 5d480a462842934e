"""From one command line to a config that trains."""
import re

import click
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from cli.conftest import ELSEWHERE, coco, distill, write
from ctkd_det import runs
from ctkd_det.curves import read_scalars
from ctkd_det_cli.distill import _show
from ctkd_det_cli.distill.methods import fragments, read_method
from ctkd_det_cli.distill.pair import SUPPORTED
from ctkd_det_cli.distill.student import heads_for
from ctkd_det_cli.distill.teacher_weights import find_weights
from ctkd_det_cli.distill.zoo import find_config, weights_url
from ctkd_det_cli.training import Training
from helpers import CLASSES, CONFIGS, ROOT, make_teacher


def test_config_of_two_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = distill('faster-rcnn_r50_fpn_1x_coco', '--teacher', 'faster-rcnn_r101_fpn_2x_coco',
                     '--teacher-ckpt', 'auto')
    out = tmp_path / 'faster-rcnn_r50_fpn_1x_coco_ctkd_faster-rcnn_r101_fpn_2x_coco.py'
    assert result.exit_code == 0 and f'$ ctkd-det train {out}' in result.output
    text = out.read_text()
    assert text in result.output and len(text.splitlines()) < 20
    assert max(map(len, text.replace(weights_url(find_config('faster-rcnn_r101_fpn_2x_coco')), '')
                   .splitlines())) <= 100
    recipe = Config.fromfile(CONFIGS / 'ctkd' / 'faster-rcnn_r50_fpn_ctkd-r101_2x_coco.py')
    found = Config.fromfile(out)
    assert found.model.to_dict() == recipe.model.to_dict()  # what the shipped recipe says
    assert found.custom_hooks == recipe.custom_hooks
    assert found.optim_wrapper.to_dict() == recipe.optim_wrapper.to_dict()
    assert found.custom_imports == recipe.custom_imports
    assert found.train_cfg.max_epochs == 12


def test_every_fragment_is_a_method():
    assert set(fragments()) == {'kd', 'ctkd', 'snapshot'} | {
        p.stem for p in (CONFIGS / '_base_' / 'distill').glob('*.py')}
    for name, file in fragments().items():
        losses = Config.fromfile(file).distill_losses.values()
        sigmoids = any(getattr(MODELS.get(loss.type), 'for_sigmoids', False) for loss in losses)
        for loss in read_method(name, 3, sigmoids).losses.values():
            assert '80' not in str(loss)


def test_two_methods_with_losses_of_one_name():
    method = read_method('ctkd+ctkd_class', 5)
    assert list(method.losses) == ['loss_ctkd', 'loss_ctkd_class']
    assert method.losses['loss_ctkd_class']['temperature']['num_classes'] == 5
    assert method.hooks == [dict(type='CurriculumHook'), dict(type='CheckDataHook')]


def test_what_was_distilled(distilled):
    """The session's real run: the config's parts, and that it trained with them."""
    text = (distilled / 'distilled.py').read_text()
    assert 'randomness' not in text  # --cfg-options are of the training
    cfg = Config.fromfile(distilled / 'distilled.py')
    assert cfg.custom_hooks == [dict(type='EMAHook', momentum=0.3), dict(type='CurriculumHook'),
                                dict(type='CheckDataHook')]
    assert cfg.train_dataloader.dataset.data_root == str(distilled / 'shapes') + '/'
    assert cfg.train_dataloader.dataset.metainfo.classes == CLASSES
    assert cfg.test_dataloader.dataset.ann_file == 'val.json'
    assert cfg.test_evaluator.ann_file == str(distilled / 'shapes' / 'val.json')
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    assert list(model.distill_losses) == ['loss_ctkd', 'loss_dkd']
    theta = model.distill_losses['loss_ctkd'].temperature.theta
    group, = [g for g in build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
              if any(p is theta for p in g['params'])]
    assert group['lr'] == pytest.approx(0.05 * 0.05) and group['weight_decay'] == 0
    curves = read_scalars(distilled / 'work')
    # 8 images in batches of 4: both options of the command line took effect
    assert len(curves['loss_ctkd'][1]) == len(curves['loss_dkd'][1]) == 2
    assert curves['ctkd.tau_mean'][1][0] == pytest.approx(1, abs=1e-5)
    assert curves['ctkd.lambda'][1] == pytest.approx([0.5, 1])  # the cosine's middle and end
    saved = torch.load(distilled / 'work' / 'epoch_1.pth')
    assert saved['meta']['seed'] == 3 and saved['meta']['dataset_meta']['classes'] == CLASSES
    assert text in (distilled / 'printed.txt').read_text()


def test_commands_are_shown_as_they_are(tmp_path, capsys, monkeypatch):
    config = tmp_path / 'my [x].py'
    config.write_text('a = 1')
    _show(Training(config, cfg_options=['x=[/data/a.json,/b.json]', 'y=[ctkd_det,my_losses]']))
    command = (f"$ ctkd-det train '{config}' --cfg-options 'x=[/data/a.json,/b.json]' "
               "'y=[ctkd_det,my_losses]'")
    assert capsys.readouterr().out.splitlines() == [str(config), 'a = 1', command]
    monkeypatch.setattr(runs.subprocess, 'Popen', lambda *args, **kwargs: None)
    runs._launch(['test', config], ['y=[ctkd_det]'], tmp_path / 'log.txt', 1)
    assert f" test '{config}' --cfg-options 'y=[ctkd_det]'" in capsys.readouterr().out


def test_an_out_that_could_not_be_trained():
    result = distill('student.py', '--method', 'none', '--out', 'my_distill')
    assert result.exit_code == 2 and 'my_distill does not end in .py' in result.output


def test_an_edited_config_is_kept(folder, tmp_path):
    line = [folder / 'student.py', '--teacher', folder / 'teacher' / 'teacher.py', '--teacher-ckpt',
            folder / 'teacher' / 'teacher.pth', '--method', 'kd', '--out', tmp_path / 'mine.py']
    assert distill(*line).exit_code == 0 and distill(*line).exit_code == 0
    made = (tmp_path / 'mine.py').read_text()
    # another option is no edit, neither of this file nor of the baseline's
    for method in ('dkd', 'kd'):
        replaced = distill(*line, '--method', method, '--with-baseline')
        assert replaced.exit_code == 0, replaced.output
        assert ('DKDLoss' in (tmp_path / 'mine.py').read_text()) == (method == 'dkd')
    assert (tmp_path / 'mine.py').read_text() == made
    (tmp_path / 'mine.py').write_text(made + '# better\n')
    refused = distill(*line)
    assert refused.exit_code == 1 and 'ctkd-det train' in refused.output
    assert '# better' in (tmp_path / 'mine.py').read_text()
    # as an editor on Windows may save it
    (tmp_path / 'mine.py').write_bytes((made + '# gr\xf6\xdfer\n').encode('cp1252'))
    refused = distill(*line)
    assert refused.exit_code == 1 and 'exists and says something else' in refused.output
    assert distill(*line, '--force').exit_code == 0 and (tmp_path / 'mine.py').read_text() == made
    # KD learns no temperature: no curriculum, no learning rates
    cfg = Config.fromfile(tmp_path / 'mine.py')
    assert [h.type for h in cfg.custom_hooks] == ['EMAHook', 'CheckDataHook']
    assert 'paramwise_cfg' not in cfg.optim_wrapper


@pytest.mark.parametrize('change, message', [
    (dict(teacher_ckpt=None), r'--teacher-ckpt FILE. Checkpoints found: .*teacher\.pth\.$'),
    (dict(teacher_ckpt='missing.pth'), r'there is no file .*missing\.pth\..*found: .*teacher\.pth'),
    (dict(teacher_ckpt='file:///missing.pth'), r'there is no file /missing\.pth\..*found: '),
    (dict(teacher_ckpt='ftp://here/a.pth'), '--teacher-ckpt: ftp://here/a.pth .*no loader knows'),
    (dict(teacher_ckpt='open-mmlab://nonsense'), "--teacher-ckpt: .*not in mmengine's list"),
    (dict(teacher='faster-rcnn_r101_fpn_2x_coco', teacher_ckpt=None),
     '--teacher-ckpt auto takes .*https://.*faster_rcnn_r101_fpn_2x_coco.*pth$'),
    (dict(teacher=None), 'the teacher is missing: give --teacher CONFIG, or --method none'),
    (dict(method='none'), 'with --method none there is no teacher: leave out --teacher'),
    (dict(metod='kd'), 'No such option.*--metod.*--method'),
    (dict(cfg_options='train_cfg.max_epoch=3'), 'no train_cfg.max_epoch; .*train_cfg.max_epochs'),
    (dict(cfg_options='train_cfg'), "'train_cfg' is not of the form KEY=VALUE"),
    (dict(method='ctdk'), "unknown method 'ctdk'; perhaps .*ctkd"),
    (dict(teacher='faster-rcnn_r50_fpn_1x_coco'),
     'has 8 classes, .* and its config 80; the student has 8. Give the config [^;]*$'),
    (dict(student='faster-rcnn_r50_fpn_1x_coco', class_mapping='by_name'),
     '8 classes, the student 80. .*trained on these classes; or give --data FOLDER, if'),
    (dict(class_mapping='by_number'), 'by_number.*by_name'),
    (dict(inherit='rpn'),
     "--inherit: 'rpn' names no weights.*'backbone', 'neck', 'roi_head', 'rpn_head'"),
    (dict(teacher_stage='last'), "'last' is neither 'mean' nor the number of a stage"),
    (dict(teacher_stage=-1), "'-1' is neither"),
    (dict(teacher_stage=1), 'has 1 stage, 0$'),
    (dict(teacher='cascade-rcnn_r50_fpn_1x_coco', class_mapping='by_name', teacher_stage=3),
     "--teacher-stage 3: .*has 3 stages, 0 to 2, or 'mean'$"),
    (dict(student=str(CONFIGS / 'shapes' / 'kd.py')), 'is a distillation config.*ctkd-det train'),
    (dict(data='nowhere'), 'there is no folder .*nowhere')])
def test_errors(change, message, folder, tmp_path):
    given = dict(student=folder / 'student.py', teacher=folder / 'teacher' / 'teacher.py',
                 teacher_ckpt=folder / 'teacher' / 'teacher.pth', **{'out': tmp_path / 'x.py'})
    given.update(change)
    student = given.pop('student')
    options = [part for key, value in given.items() if value is not None
               for part in (f'--{key.replace("_", "-")}', value)]
    result = distill(student, *options)
    assert result.exit_code in (1, 2) and not (tmp_path / 'x.py').exists()
    assert re.search(message, ' '.join(result.output.split())), result.output


def test_a_dead_link_beside_the_teacher(tmp_path):
    """mmdet 2.x left such links, called latest.pth."""
    (tmp_path / 'teacher.py').write_text('model = dict()')
    (tmp_path / 'good.pth').touch()
    (tmp_path / 'latest.pth').symlink_to('/gone/epoch_12.pth')
    with pytest.raises(click.ClickException, match=r'found: \S*good\.pth\.[^,]*$'):
        find_weights(str(tmp_path / 'wrong.pth'), find_config(str(tmp_path / 'teacher.py')))


@pytest.mark.parametrize('student', ['detr_r50_8xb2-150e_coco', 'ssd300_coco'])
def test_an_unsupported_student_is_refused_with_those_that_are_not(student, tmp_path):
    """Before the teacher, which would not fit either, is looked at."""
    result = distill(student, '--teacher', 'faster-rcnn_r101_fpn_2x_coco', '--teacher-ckpt', 'auto',
                     '--out', tmp_path / 'x.py')
    assert result.exit_code == 1 and not (tmp_path / 'x.py').exists()
    assert f'the student {find_config(student).path}: ' in result.output
    assert f'{SUPPORTED}\n' in result.output
    page = (ROOT / 'docs' / 'detectors.md').read_text()
    for kind, names in zip(('two-stage student', 'single-stage student', 'DETR student'),
                           SUPPORTED.partition(': ')[2].split('; '), strict=True):
        assert re.search(rf'^\| {kind}: {names} \|', page, re.M)


def test_class_mapping_lets_the_numbers_differ(folder, tmp_path):
    """The config says so, and the detector that it builds gathers the student's columns."""
    names = [f'c{i}' for i in range(4)] + list(reversed(CLASSES))
    teacher = make_teacher(tmp_path, tuple(names), roi_head=dict(bbox_head=dict(num_classes=12)))
    result = distill(folder / 'student.py', '--teacher', teacher['teacher_config'],
                     '--teacher-ckpt', teacher['teacher_ckpt'], '--class-mapping', 'by_name',
                     '--out', tmp_path / 'x.py')
    assert result.exit_code == 0, result.output
    cfg = Config.fromfile(tmp_path / 'x.py')
    assert cfg.model.class_mapping == 'by_name'
    assert 'inherit' not in cfg.model and 'teacher_stage' not in cfg.model
    init_default_scope('mmdet')
    mapping = MODELS.build(cfg.model).teacher.map_classes
    mapping.settle(CLASSES)
    *known, rest = mapping(torch.arange(13.)[None])[0].tolist()
    assert known == [11, 10, 9, 8, 7, 6, 5, 4]
    # what the student does not know is background
    assert rest == pytest.approx(torch.tensor([0., 1, 2, 3, 12]).logsumexp(0).item())


def test_inherited_parts_and_the_stage_that_teaches(folder, tmp_path):
    teacher = folder / 'teacher'
    result = distill(folder / 'student.py', '--teacher', teacher / 'teacher.py', '--teacher-ckpt',
                     teacher / 'teacher.pth', '--inherit', 'neck', '--inherit',
                     'backbone.layer1', '--teacher-stage', '0', '--out', tmp_path / 'x.py')
    assert result.exit_code == 0, result.output
    cfg = Config.fromfile(tmp_path / 'x.py')
    assert cfg.model.inherit == ['neck', 'backbone.layer1'] and cfg.model.teacher_stage == 0
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    model.init_weights()
    theirs = torch.load(teacher / 'teacher.pth')['state_dict']
    same = {name.partition('.')[0] for name, value in model.state_dict().items()
            if name.endswith('conv.weight') and torch.equal(value, theirs[name])}
    assert same == {'neck'}
    assert torch.equal(model.backbone.layer1[0].conv1.weight,
                       theirs['backbone.layer1.0.conv1.weight'])
    assert not torch.equal(model.backbone.layer2[0].conv1.weight,
                           theirs['backbone.layer2.0.conv1.weight'])
    mean = distill(folder / 'student.py', '--teacher', 'cascade-rcnn_r50_fpn_1x_coco',
                   '--teacher-ckpt', 'auto', '--class-mapping', 'by_name', '--teacher-stage',
                   'mean', '--out', tmp_path / 'mean.py')
    assert mean.exit_code == 0, mean.output
    assert Config.fromfile(tmp_path / 'mean.py').model.teacher_stage == 'mean'


def test_cascades_of_different_length(tmp_path):
    cfg = Config.fromfile(find_config('cascade-rcnn_r50_fpn_1x_coco').path)
    roi_head = cfg.model.roi_head
    roi_head.update(num_stages=2, stage_loss_weights=[1, 0.5], bbox_head=roi_head.bbox_head[:2])
    cfg.model.train_cfg.rcnn = cfg.model.train_cfg.rcnn[:2]
    cfg.dump(tmp_path / 'two.py')
    line = [tmp_path / 'two.py', '--teacher', 'cascade-rcnn_r101_fpn_1x_coco', '--teacher-ckpt',
            'auto', '--out', tmp_path / 'x.py']
    refused = distill(*line)
    assert refused.exit_code == 1 and not (tmp_path / 'x.py').exists()
    assert 'cascade of 3 stages, the student of 2' in refused.output
    assert distill(*line, '--teacher-stage', 'mean').exit_code == 0


def test_all_heads_of_a_cascade_get_the_number_of_classes(tmp_path):
    data = write(tmp_path / 'data', dict(train=('train.json', 'train'), val=('val.json', 'val')),
                 coco(['cat', 'dog', 'cow']))
    teacher = Config.fromfile(find_config('cascade-mask-rcnn_r50_fpn_1x_coco').path)
    for head in teacher.model.roi_head.bbox_head:
        head.num_classes = 3
    teacher.dump(tmp_path / 'teacher.py')
    result = distill('cascade-mask-rcnn_r50_fpn_1x_coco', '--teacher', tmp_path / 'teacher.py',
                     '--teacher-ckpt', ELSEWHERE, '--data', data, '--method',
                     'ctkd_instance', '--out', tmp_path / 'x.py')
    assert result.exit_code == 0, result.output
    found = Config.fromfile(tmp_path / 'x.py').model
    plain = Config.fromfile(find_config('cascade-mask-rcnn_r50_fpn_1x_coco').path).model
    assert [head.num_classes for head in found.roi_head.bbox_head] == [3, 3, 3]
    assert found.distill_losses.loss_ctkd.temperature.num_classes == 3
    for head in plain.roi_head.bbox_head:
        head.num_classes = 3
    plain.roi_head.mask_head.num_classes = 3
    assert found.roi_head.to_dict() == plain.roi_head.to_dict()  # and nothing else changed
    assert Config.fromfile(tmp_path / 'x.py').val_evaluator == dict(
        type='CocoMetric', ann_file=str(data / 'val.json'), metric=['bbox', 'segm'])


def test_heads_with_other_classes_keep_them():
    """HTC's semantic head has COCO stuff's 183 classes."""
    roi_head = dict(bbox_head=[dict(num_classes=80, in_channels=256)] * 2,
                    semantic_head=dict(num_classes=183), mask_head=dict(num_classes=80))
    assert heads_for(roi_head, 80, 5) == dict(
        bbox_head=[dict(num_classes=5, in_channels=256)] * 2, mask_head=dict(num_classes=5))
    assert roi_head['bbox_head'][0]['num_classes'] == 80


def test_a_head_with_mmdets_default_number_of_classes():
    assert heads_for(dict(bbox_head=dict(type='Shared2FCBBoxHead')), 80, 5) == dict(
        bbox_head=dict(num_classes=5))


def test_masks_are_needed_for_a_mask_head(tmp_path):
    data = write(tmp_path, dict(train=('train.json', 'train'), val=('val.json', 'val')),
                 coco([f'c{i}' for i in range(80)], masks=False))
    result = distill('mask-rcnn_r50_fpn_1x_coco', '--teacher', 'mask-rcnn_r101_fpn_1x_coco',
                     '--teacher-ckpt', 'auto', '--data', data, '--out', tmp_path / 'x.py')
    assert result.exit_code == 1 and 'take a box detector' in result.output


def test_data_for_another_kind_of_data_set(tmp_path):
    data = write(tmp_path, dict(train=('train.json', 'train'), val=('val.json', 'val')),
                 coco([f'c{i}' for i in range(20)]))
    name = 'faster-rcnn_r50_fpn_1x_voc0712'
    result = distill(name, '--teacher', name, '--teacher-ckpt', data / 'train.json', '--data', data,
                     '--out', tmp_path / 'x.py')
    assert result.exit_code == 1 and 'start from a config for COCO' in ' '.join(
        result.output.split())


@pytest.mark.parametrize('content, message', [
    (b"_base_ = 'cycle.py'", r'cycle\.py cannot be read: a _base_ comes back to itself'),
    (b'\xef\xbb\xbfa = 1', r'cycle\.py cannot be read: .*Save it as UTF-8 without BOM'),
    ('a = 1'.encode('utf-16'), 'Save it as UTF-8 without BOM'),
    ("a = 'é'".encode('latin-1'), 'Save it as UTF-8 without BOM')])
def test_a_config_that_cannot_be_read(content, message, tmp_path):
    (tmp_path / 'cycle.py').write_bytes(content)
    result = distill(tmp_path / 'cycle.py', '--method', 'none', '--dry-run')
    assert result.exit_code == 1
    assert re.search(message, ' '.join(result.output.split())), result.output


@pytest.mark.parametrize('part', ['train_dataloader', 'train_cfg', 'optim_wrapper'])
def test_a_student_that_trains_nothing(part, folder, tmp_path):
    """The model alone, or a config of MMDetection 2.x, which has none of these."""
    cfg = Config.fromfile(folder / 'student.py')
    cfg[part] = None
    cfg.dump(tmp_path / 'model.py')
    result = distill(tmp_path / 'model.py', '--teacher', folder / 'teacher' / 'teacher.py',
                     '--teacher-ckpt', folder / 'teacher' / 'teacher.pth', '--dry-run')
    assert result.exit_code == 1
    assert f'model.py trains nothing: it has no {part}' in ' '.join(result.output.split())


def test_a_folder_is_no_config(tmp_path):
    (tmp_path / 'dir.py').mkdir()
    result = distill(tmp_path / 'dir.py', '--method', 'none', '--dry-run')
    assert result.exit_code == 1
    assert 'dir.py is a folder, not a config' in ' '.join(result.output.split())
