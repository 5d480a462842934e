"""The exported student needs nothing of ours."""
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import mmcv
import mmdet
import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config

from cli.conftest import invoke
from ctkd_det.operations import flops, resize_shape
from ctkd_det_cli.doctor.ops_file import code
from ctkd_det_cli.export import student
from ctkd_det_cli.export.plain_config import plain_config
from ctkd_det_cli.export.source import differences
from ctkd_det_cli.export.student import Exported
from ctkd_det_cli.export.usage import usage
from ctkd_det_cli.export.weights import choose_weights, load_student
from helpers import CLASSES, CONFIGS, FORK, ROOT, build, full_disk, student_config

# Never imports ctkd_det. mmcv-lite's operators come from the file that doctor --fix writes.
PLAIN = '''
import sys
import torch
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmengine.config import Config
from mmengine.runner import load_checkpoint
config, checkpoint, image, out = sys.argv[1:]
torch.load(checkpoint, weights_only=True)
inferencer = DetInferencer(weights=checkpoint, device='cpu', palette='random')
model = init_detector(config, None, palette='random', device='cpu')
load_checkpoint(model, checkpoint, strict=True)
found = inference_detector(model, image).pred_instances
assert not [name for name in sys.modules if name.partition('.')[0] == 'ctkd_det']
torch.save(dict(bboxes=found.bboxes, scores=found.scores, labels=found.labels,
                type=type(inferencer.model).__name__), out)
'''


@pytest.fixture(scope='module')
def exported(distilled):
    result = invoke('export', distilled / 'distilled.py', distilled / 'work' / 'epoch_1.pth',
                    '--out', distilled / 'student', '--shape', 64, 64)
    assert result.exit_code == 0, result.output
    return result.output, distilled / 'student' / 'distilled'


@pytest.fixture(scope='module')
def plain_python(tmp_path_factory):
    """Runs a script on an mmcv that has operators without importing ctkd_det."""
    folder = tmp_path_factory.mktemp('plain')
    source = Path(mmcv.__file__).parent
    if not list(source.glob('_ext*')):
        shutil.copytree(source, folder / 'mmcv', ignore=shutil.ignore_patterns('__pycache__'))
        (folder / 'mmcv' / '_ext.py').write_text(code())

    def run(*args):
        result = subprocess.run([sys.executable, *map(str, args)], cwd=folder, capture_output=True,
                                text=True, env={**os.environ, 'PYTHONPATH': str(folder)})
        assert result.returncode == 0, result.stderr[-3000:]

    return run


def test_files_hold_nothing_of_ours(exported, distilled):
    printed, stem = exported
    text = stem.with_suffix('.py').read_text().replace(str(distilled), '')
    assert not [word for word in ('ctkd', 'distill', 'teacher', 'Curriculum') if word in text]
    assert 'EMAHook' in text and "type='FasterRCNN'" in text
    checkpoint = torch.load(stem.with_suffix('.pth'), weights_only=True)
    assert set(checkpoint) == {'state_dict', 'meta'}
    model = build(Config.fromfile(stem.with_suffix('.py')))
    model.load_state_dict(checkpoint['state_dict'], strict=True)
    meta = checkpoint['meta']
    assert meta['dataset_meta']['classes'] == CLASSES and meta['epoch'] == 1
    ours = meta['ctkd_det']
    assert ours['method'] == dict(loss_ctkd='KDLoss', loss_dkd='DKDLoss') and ours['ema']
    source = torch.load(distilled / 'work' / 'epoch_1.pth')
    taus = source['message_hub']['log_scalars']['train/ctkd.tau_mean'].data[0]
    assert ours['temperatures']['ctkd.tau_mean'] == float(taus[-1])
    assert Config.fromstring(meta['cfg'], '.py').model.type == 'FasterRCNN'
    parameters = sum(p.numel() for p in model.parameters())
    for fact in (f'{parameters / 1e6:.2f} M', 'averaged (EMA)', 'distill_losses.loss_ctkd',
                 'multiply-adds at 64 x 64'):
        assert fact in printed
    sizes = [(distilled / 'work' / 'epoch_1.pth').stat().st_size,
             stem.with_suffix('.pth').stat().st_size]
    assert f'{sizes[0] / 1e6:.2f} MB before, {sizes[1] / 1e6:.2f} MB after' in printed
    assert sizes[1] < sizes[0] / 2


def test_plain_mmdet_detects_the_same(exported, distilled, plain_python, tmp_path):
    _, stem = exported
    image = next((distilled / 'shapes' / 'val').glob('*.png'))
    (tmp_path / 'plain.py').write_text(PLAIN)
    plain_python(tmp_path / 'plain.py', stem.with_suffix('.py'), stem.with_suffix('.pth'), image,
                 tmp_path / 'found.pt')
    theirs = torch.load(tmp_path / 'found.pt')
    model = init_detector(str(distilled / 'distilled.py'),
                          str(distilled / 'work' / 'epoch_1.pth'), palette='random', device='cpu')
    ours = inference_detector(model, str(image)).pred_instances
    assert theirs.pop('type') == 'FasterRCNN' and len(ours) > 10
    assert all(torch.equal(ours[key], value) for key, value in theirs.items())


def test_mmdets_own_test_tool(exported, plain_python, tmp_path):
    """It runs with neither our config nor our import, thanks to the file of doctor --fix."""
    _, stem = exported
    tool = Path(mmdet.__file__).parent / '.mim' / 'tools' / 'test.py'
    plain_python(tool, stem.with_suffix('.py'), stem.with_suffix('.pth'), '--work-dir', tmp_path)
    metrics = json.loads(next(tmp_path.glob('*/*.json')).read_text())
    assert metrics['coco/bbox_mAP'] >= 0


def test_a_work_directory_is_exported_as_it_was_trained(distilled, tmp_path):
    """The training had a batch of 4 and seed 3 by --cfg-options."""
    work = shutil.copytree(distilled / 'work', tmp_path / 'work')
    result = invoke('export', work, '--out', tmp_path / 'out')
    assert result.exit_code == 0 and 'Warning' not in result.output, result.output
    cfg = Config.fromfile(tmp_path / 'out' / 'distilled.py')
    assert cfg.train_dataloader.batch_size == 4 and cfg.randomness.seed == 3
    weights = torch.load(tmp_path / 'out' / 'distilled.pth')['state_dict']
    source = torch.load(work / 'epoch_1.pth')['state_dict']
    assert all(torch.equal(source[key], value) for key, value in weights.items())
    # the best is taken where there is one
    checkpoint = torch.load(work / 'epoch_1.pth')
    checkpoint['meta']['epoch'] = 77
    torch.save(checkpoint, work / 'best_coco_bbox_mAP_epoch_77.pth')
    for options, epoch in (((), 77), (('--last', ), 1)):
        invoke('export', work, '--out', tmp_path / 'out', *options)
        assert torch.load(tmp_path / 'out' / 'distilled.pth')['meta']['epoch'] == epoch


def test_somebodys_config_is_not_replaced(distilled, tmp_path):
    own = tmp_path / 'distilled.py'
    own.write_text('# my notes\na = 1\n')
    result = invoke('export', distilled / 'work', '--out', tmp_path)
    assert result.exit_code == 1 and 'not written by an export' in result.output
    assert own.read_text() == '# my notes\na = 1\n'


def test_another_config_than_the_trained_one_is_said(distilled, exported, tmp_path):
    printed, _ = exported
    assert re.search(r'trained with other settings than .*distilled\.py says: .*'
                     r'train_dataloader\.batch_size', printed)
    assert f'ctkd-det export {distilled / "work"} --out' in printed
    same = shutil.copy(distilled / 'work' / 'distilled.py', tmp_path / 'same.py')
    assert differences(Path(same), distilled / 'work' / 'epoch_1.pth') == []


@pytest.mark.parametrize('args, message', [
    (['{folder}/student.py', '{folder}/work/epoch_1.pth'], 'student.py distils nothing'),
    (['{folder}/distilled.py'], 'which checkpoint.*export WORK_DIR'),
    (['{folder}/work', '{folder}/work/epoch_1.pth', '--last'], '--last .*leave one of them out'),
    (['{folder}/shapes'], 'holds no config'),
    (['{folder}/nowhere'], 'nowhere.*does not exist')])
def test_what_cannot_be_exported(args, message, distilled, tmp_path):
    result = invoke('export', *(arg.format(folder=distilled) for arg in args), '--out',
                    tmp_path / 'out')
    assert result.exit_code in (1, 2) and not (tmp_path / 'out').exists()
    assert re.search(message, ' '.join(result.output.split())), result.output


def test_a_full_disk_leaves_the_earlier_student(distilled, tmp_path):
    line = ['export', distilled / 'work', '--out', tmp_path / 'student']
    assert invoke(*line).exit_code == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / 'student').iterdir()}
    with full_disk():
        result = invoke(*line)
    assert result.exit_code == 1
    assert re.search(r'distilled\.pth cannot be written \(File too large\): give another --out',
                     ' '.join(result.output.split())), result.output
    assert before == {path.name: path.read_bytes() for path in (tmp_path / 'student').iterdir()}


def test_the_printed_lines_run(exported, distilled, tmp_path):
    printed, _ = exported
    code = textwrap.dedent(printed.partition('To use it:\n')[2].partition('It needs')[0])
    image = next((distilled / 'shapes' / 'val').glob('*.png'))
    shutil.copy(image, tmp_path / 'image.jpg')
    result = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True,
                            text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert result.returncode == 0, result.stderr[-2000:]
    assert (tmp_path / 'outputs' / 'vis' / 'image.jpg').is_file()


def test_both_kinds_of_weights(distilled):
    """EMAHook's file has the average under state_dict; after 2 steps of 0.3 they differ."""
    source = torch.load(distilled / 'work' / 'epoch_1.pth')
    key = 'roi_head.bbox_head.fc_cls.weight'
    averaged, optimised = source['state_dict'][key], source['ema_state_dict'][f'module.{key}']
    assert not torch.equal(averaged, optimised)
    for ema, expected in ((None, averaged), (True, averaged), (False, optimised)):
        weights, is_average = choose_weights(source, ema)
        assert torch.equal(weights[key], expected) and is_average == (ema is not False)
    without = {k: v for k, v in source.items() if k != 'ema_state_dict'}
    assert choose_weights(without, False)[1] is False
    with pytest.raises(Exception, match='no averaged weights'):
        choose_weights(without, True)


def test_no_ema_is_what_the_optimizer_had(distilled, tmp_path):
    args = ['export', distilled / 'distilled.py', distilled / 'work' / 'epoch_1.pth', '--no-ema']
    assert invoke(*args, '--out', tmp_path).exit_code == 0
    written = torch.load(tmp_path / 'distilled.pth', weights_only=True)
    source = torch.load(distilled / 'work' / 'epoch_1.pth')['ema_state_dict']
    assert all(torch.equal(v, source[f'module.{k}']) for k, v in written['state_dict'].items())
    assert not written['meta']['ctkd_det']['ema']


def test_sources_are_not_overwritten(distilled):
    before = (distilled / 'distilled.py').read_text()
    result = invoke('export', distilled / 'distilled.py', distilled / 'work' / 'epoch_1.pth',
                    '--out', distilled)
    assert result.exit_code == 1 and 'would replace' in result.output
    assert (distilled / 'distilled.py').read_text() == before


def test_operations_are_those_of_the_convolutions_and_matrices():
    """Counted with hooks; norms and upsampling, which mmengine adds, are a few per cent."""
    model = build(student_config()).eval()
    counted = []

    def count(module, inputs, output):
        counted.append(output.numel() * module.weight[0].numel())

    for module in model.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            module.register_forward_hook(count)
    # the detector is called as a module, and nothing of it is replaced meanwhile
    called = []
    model.register_forward_pre_hook(lambda module, args: called.append('forward' in vars(module)))
    model.data_preprocessor.pad_size_divisor = 32
    total = flops(model, (40, 64))
    assert sum(counted) <= total <= 1.1 * sum(counted)
    assert flops(model, (64, 64)) == pytest.approx(total, rel=0.02)  # padded to the same size
    assert called and not any(called)


def test_size_of_the_test_pipeline():
    name = 'students/faster-rcnn_r18_fpn_1x_coco.py'
    assert resize_shape(Config.fromfile(CONFIGS / name)) == (800, 1333)
    assert resize_shape(student_config()) is None  # scaled by a factor
    # a wrapped set, and a config that tests nothing
    dataset = dict(type='ConcatDataset', datasets=[
        dict(pipeline=[dict(type='mmdet.Resize', scale=[1333, 800])])])
    assert resize_shape(Config(dict(test_dataloader=None, val_dataloader=dict(
        dataset=dataset)))) == (800, 1333)
    assert resize_shape(Config(dict(test_dataloader=None, val_dataloader=None))) is None


def test_weights_of_another_detector_are_refused(distilled):
    model = build(student_config())
    weights = model.state_dict()
    assert load_student(model, {**weights, 'adapter.weight': torch.zeros(1)}) == ['adapter.weight']
    for wrong in ({k: v for k, v in weights.items() if 'fc_reg' not in k},
                  {**weights, 'backbone.extra': torch.zeros(1)}):
        with pytest.raises(Exception, match='fc_reg|backbone.extra'):
            load_student(model, wrong)


@pytest.mark.parametrize('name, kind', [
    ('shapes/ctkd.py', 'FasterRCNN'),  # its base has a base
    ('ctkd/faster-rcnn_r18_fpn_ctkd-r101_1x_coco.py', 'FasterRCNN'),
    ('ctkd/retinanet_r18_fpn_ctkd-r101_1x_coco.py', 'RetinaNet')])
def test_plain_configs_of_shipped_recipes(name, kind):
    cfg = plain_config(CONFIGS / name)
    assert cfg.model.type == kind and 'teacher_config' not in cfg.model
    assert 'custom_hooks' not in cfg and 'custom_imports' not in cfg
    assert 'distill_losses' not in cfg.pretty_text
    cfg.model.backbone.init_cfg = None  # nothing to download
    assert type(build(cfg)) is MODELS.get(kind)


def test_metrics_become_mmdets(tmp_path):
    """Alone, in a list, in an Evaluator; everybody else's stay."""
    source = Config.fromfile(CONFIGS / 'shapes' / 'ctkd.py')
    faster = dict(type='FasterCocoMetric', ann_file='val.json', metric='bbox', classwise=True)
    source.val_evaluator = faster
    source.test_evaluator = [faster, dict(type='VOCMetric')]
    source.dump(tmp_path / 'list.py')
    plain = plain_config(tmp_path / 'list.py')
    expected = faster if FORK else dict(faster, type='CocoMetric')
    assert plain.val_evaluator == expected
    assert plain.test_evaluator == [expected, dict(type='VOCMetric')]
    source.test_evaluator = dict(type='Evaluator', metrics=[faster])
    source.dump(tmp_path / 'nested.py')
    assert plain_config(tmp_path / 'nested.py').test_evaluator == dict(
        type='Evaluator', metrics=[expected])


MODULES = dict(
    odd_backbone=('MODELS', 'OddBackbone'),
    odd_constructor=('OPTIM_WRAPPER_CONSTRUCTORS', 'OddConstructor'),
    odd_loss=('MODELS', 'OddLoss'))


def test_imports_of_the_student_stay_and_are_named(tmp_path, monkeypatch):
    """Of a type with a scope, and of what another key than ``type`` names; not the others."""
    for module, (registry, name) in MODULES.items():
        (tmp_path / f'{module}.py').write_text(
            f'from mmdet.registry import {registry}\n\n\n'
            f'@{registry}.register_module(force=True)\nclass {name}:\n    ...\n')
    monkeypatch.syspath_prepend(tmp_path)
    cfg = Config.fromfile(CONFIGS / 'shapes' / 'ctkd.py')
    cfg.model.backbone.type = 'mmdet.OddBackbone'
    cfg.optim_wrapper.constructor = 'OddConstructor'
    cfg.custom_imports = dict(imports=['ctkd_det', *MODULES])
    cfg.dump(tmp_path / 'source.py')
    plain = plain_config(tmp_path / 'source.py')
    assert plain.custom_imports.imports == ['odd_backbone', 'odd_constructor']
    folder = tmp_path / 'out'
    folder.mkdir()
    plain.dump(folder / 'plain.py')
    exported = Exported(folder / 'plain.py', folder / 'plain.pth', {})
    printed = usage(exported, tmp_path / 'source.py')
    assert f'imports odd_backbone and odd_constructor from {tmp_path}: ' in printed
    assert f'PYTHONPATH={tmp_path})' in printed
    # found elsewhere, as an installed one is
    assert 'PYTHONPATH' not in usage(exported, CONFIGS / 'shapes' / 'ctkd.py')


def test_a_student_that_cannot_be_counted_is_exported(distilled, tmp_path, monkeypatch):
    """Its training is over, and the operations are one row of the table."""
    def fail(*_):
        raise NotImplementedError('mmcv-lite does not contain it\nand more')

    monkeypatch.setattr(student, 'flops', fail)
    result = invoke('export', distilled / 'distilled.py', distilled / 'work' / 'epoch_1.pth',
                    '--out', tmp_path / 'out', '--shape', 64, 64)
    assert result.exit_code == 0
    text = ' '.join(result.output.replace('\u2502', ' ').split())
    assert 'not counted: NotImplementedError: mmcv-lite does not contain it' in text
    assert 'and more' not in text
    cfg = Config.fromfile(tmp_path / 'out' / 'distilled.py')
    build(cfg).load_state_dict(torch.load(tmp_path / 'out' / 'distilled.pth')['state_dict'])


def test_nothing_is_written_of_another_detectors_checkpoint(distilled, tmp_path):
    torch.save(dict(state_dict={'backbone.extra': torch.zeros(1)}), tmp_path / 'other.pth')
    result = invoke('export', distilled / 'distilled.py', tmp_path / 'other.pth',
                    '--out', tmp_path / 'out', '--shape', 64, 64)
    assert result.exit_code != 0 and not (tmp_path / 'out').exists()


@pytest.mark.parametrize('name', ['sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py',
                                  'queryinst/queryinst_r50_fpn_1x_coco.py'])
def test_operations_of_heads_that_look_at_the_objects_of_a_sample(name):
    model = get_config(f'mmdet::{name}').model
    model.backbone.update(depth=18, init_cfg=None)
    model.neck.in_channels = [64, 128, 256, 512]
    built = MODELS.build(model).eval()
    # the RoI head's work does not grow with the image
    small, large = flops(built, (64, 64)), flops(built, (64, 128))
    backbone_and_neck = large - small
    assert small > 10 * backbone_and_neck > 0


def test_a_dumped_config_has_mmdets_base_class(distilled):
    """It has no base to name the detector, and others' hooks and imports stay."""
    cfg = Config.fromfile(distilled / 'work' / 'distilled.py')
    cfg.custom_imports.imports = ['ctkd_det.models', 'json']
    cfg.dump(distilled / 'dumped.py')
    plain = plain_config(distilled / 'dumped.py')
    assert plain.model.type == 'TwoStageDetector'
    assert plain.custom_imports.imports == ['json']
    assert [hook.type for hook in plain.custom_hooks] == ['EMAHook']
    weights = torch.load(distilled / 'work' / 'epoch_1.pth')['state_dict']
    MODELS.build(plain.model).load_state_dict(
        {key: value for key, value in weights.items() if not key.startswith('distill_losses')},
        strict=True)
