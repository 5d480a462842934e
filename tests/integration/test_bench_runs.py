"""The benches on a few images: they train, and go on where they were."""
import copy
import hashlib
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import Runner

from helpers import ROOT

BENCHMARKS = ROOT / 'tools' / 'benchmarks'
sys.path.insert(0, str(BENCHMARKS))

import benches  # noqa: E402
import formulations  # noqa: E402, F401
import noisy_labels  # noqa: E402
import recipe_search  # noqa: E402
import recipe_table  # noqa: E402
import sharpen_teacher  # noqa: E402
import temperature_gradient  # noqa: E402
from benches import BENCHES, PAIRS, teacher_config  # noqa: E402
from recipes import FEATURE_WEIGHTS  # noqa: E402

from ctkd_det.datasets.shapes_generator import ShapesConfig, generate  # noqa: E402


@pytest.fixture(scope='module')
def small(tmp_path_factory, request):
    """Benches of one epoch of a few images, trained in this process; the folder of the results."""
    folder, images = tmp_path_factory.mktemp('bench'), request.getfixturevalue('shapes')
    with pytest.MonkeyPatch.context() as patch:
        for name, bench in BENCHES.items():
            patch.setitem(BENCHES, name, bench._replace(epochs=1, val_interval=1))
        for name, pair in PAIRS.items():
            patch.setitem(PAIRS, name, pair._replace(data_root=f'{images}/'))
        patch.setattr(benches, 'TRUNK_EPOCHS', 1)
        patch.setattr(recipe_search, 'teacher', short_teacher)
        patch.setattr(recipe_search, 'ROOT', folder)
        patch.setattr(recipe_search, 'finish', train_here)
        yield folder


def short_teacher(bench, work_dir, original=recipe_search.teacher):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe_search, 'teacher_config', lambda pair: with_epochs(
            teacher_config(pair), 1))
        return original(bench, work_dir)


def with_epochs(cfg, epochs):
    if cfg is not None:
        cfg.merge_from_dict(dict(max_epochs=epochs, train_cfg=dict(
            max_epochs=epochs, val_interval=epochs)))
    return cfg


def train_here(run):
    """What ``finish`` does in a process of its own."""
    if not run.finished:
        for manager in (MessageHub, DetLocalVisualizer):
            manager._instance_dict.clear()
        cfg = Config.fromfile(run.config)
        cfg.work_dir = str(run.work_dir)
        Runner.from_cfg(cfg).train()
        run.seconds = 6.0
    return run


def call(monkeypatch, script, *args):
    monkeypatch.setattr(sys, 'argv', [script.__name__, *map(str, args)])
    script.main()


def search(monkeypatch, small, *args):
    call(monkeypatch, recipe_search, '--jobs', '1', '--work-dir', small / 'runs', *args)
    return small / 'runs'


def test_search_gradient_and_table(small, monkeypatch, capsys):
    methods = ['--seeds', '0', '--methods', 'student', 'ctkd', 'ctkd_log']
    runs = search(monkeypatch, small, *methods)
    out = small / 'docs' / 'evidence' / 'shapes.jsonl'
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line['method'] for line in lines] == ['student', 'ctkd', 'ctkd_log']
    assert lines[0]['temperatures'] == {}
    # theta starts at tau = 1 and has had one step or so
    for line in lines[1:]:
        assert line['temperatures']['tau_mean'] == pytest.approx(1.0, abs=0.02)
    assert all(line['seed'] == 0 and 0 <= line['mAP'] <= 1 for line in lines)
    assert all(line['minutes'] == 0.1 for line in lines)
    # both branches start from the one trunk
    for method in ('student', 'ctkd'):
        config = (runs / 'shapes' / method / f'seed_0/{method}.py').read_text()
        assert 'trunk/seed_0/epoch_1.pth' in config
    search(monkeypatch, small, *methods)
    assert len(out.read_text().splitlines()) == 3  # nothing is repeated
    recipe_search.write(out, lines[1])  # nor written by a second process
    assert len(out.read_text().splitlines()) == 3
    ctkd = runs / 'shapes' / 'ctkd' / 'seed_0'
    call(monkeypatch, temperature_gradient, ctkd / 'ctkd.py', ctkd / 'epoch_1.pth', '--batches',
         '1', '--out', small / 'gradient.jsonl')
    foreground, background = map(json.loads, (small / 'gradient.jsonl').read_text().splitlines())
    for line in (foreground, background):
        kl, tau_kl, tau2_kl = map(np.array, line['curves'])
        tau = np.array(line['tau'])
        np.testing.assert_allclose(tau_kl, tau * kl)
        np.testing.assert_allclose(tau2_kl, tau**2 * kl)
        # for large tau, tau^2 KL tends to a constant: half the variance of the difference
        assert tau2_kl[-1] == pytest.approx(tau2_kl[-3], rel=0.05) and tau2_kl[0] < tau2_kl[-1]
    capsys.readouterr()
    call(monkeypatch, recipe_table, out, '--plot', small / 'table.png')
    assert 'ctkd' in capsys.readouterr().out
    assert (small / 'table.png').stat().st_size > 5000


def test_data_that_are_not_there_are_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(PAIRS, 'shapes', PAIRS['shapes']._replace(data_root='data/shapes_bench/'))
    with pytest.raises(SystemExit, match='^shapes: the training data are not there: .*/data/'
                       'shapes_bench/train.json does not exist; --help says how'):
        call(monkeypatch, recipe_search, '--seeds', '0', '--out', 'x.jsonl', '--work-dir', 'runs')
    assert not list(tmp_path.iterdir())


def test_an_installed_copy_writes_to_the_current_folder(tmp_path, monkeypatch):
    package = tmp_path / 'site-packages' / 'ctkd_det' / '.mim'
    shutil.copytree(BENCHMARKS, package / 'tools' / 'benchmarks')
    monkeypatch.chdir(tmp_path)
    for folder, expected in ((package / 'tools' / 'benchmarks', tmp_path), (BENCHMARKS, ROOT)):
        assert runpy.run_path(str(folder / 'recipe_search.py'))['ROOT'] == expected


def test_the_trainings_are_processes_that_find_what_is_registered_here(shapes, tmp_path):
    """The script as it is called, on a copy of the tree whose benches are shorter."""
    for name in ('configs', 'tools', 'ctkd_det', 'ctkd_det_cli', 'ctkd_det_data'):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns('__pycache__'))
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'shapes_bench').symlink_to(shapes)
    path = tmp_path / 'tools' / 'benchmarks' / 'benches.py'
    path.write_text(re.sub(r'(epochs=|EPOCHS = )\d+', r'\g<1>1', path.read_text()))
    result = subprocess.run(
        [sys.executable, str(path.with_name('recipe_search.py')), '--seeds', '0', '--methods',
         'ctkd_log', '--jobs', '1'], cwd=tmp_path, text=True, capture_output=True,
        env=dict(os.environ, PYTHONPATH=str(tmp_path)))
    assert result.returncode == 0, result.stderr[-3000:]
    line, = map(json.loads, (tmp_path / 'docs/evidence/shapes.jsonl').read_text().splitlines())
    assert line['method'] == 'ctkd_log' and line['minutes'] > 0
    assert line['temperatures']['tau_mean'] == pytest.approx(1.0, abs=0.02)


@pytest.fixture(scope='module')
def trunk(small):
    """The trunk of seed 0, trained."""
    run, = recipe_search.trunk('shapes', 0, small / 'runs')
    return recipe_search.finish(run)


@pytest.mark.parametrize('bench', ['shapes_order', 'shapes_long'])
def test_seeds_of_one_trunk_differ_in_order_alone(trunk, bench):
    runs = [recipe_search.branch(bench, 'student', seed, trunk.work_dir.parents[2])
            for seed in (0, 1)]
    configs = [Config.fromfile(run.config) for run in runs]
    assert [cfg.randomness.seed for cfg in configs] == [0, 1]
    assert configs[0].model == configs[1].model
    assert configs[0].model.init_cfg.checkpoint == str(trunk.checkpoint)


@pytest.mark.parametrize('bench, method', [
    ('shapes_order', 'kd_tau1'), ('shapes_long', 'ctkd'), ('shapes_warm', 'ttm'),
    ('shapes_gfl', 'ctkd_ld'), ('shapes_gfl_wide', 'crosskd')])
def test_the_other_benches_in_their_smallest_form(small, monkeypatch, bench, method):
    runs = search(monkeypatch, small, '--bench', bench, '--seeds', '2', '--methods', method)
    line, = map(json.loads, (small / f'docs/evidence/{bench}.jsonl').read_text().splitlines())
    assert (line['method'], line['seed']) == (method, 2) and 0 <= line['mAP'] <= 1
    config = (runs / bench / method / f'seed_2/{method}.py').read_text()
    # every seed begins from the trunk of seed 0
    assert f'{BENCHES[bench].pair}/trunk/seed_0/epoch_1.pth' in config


def test_a_warm_start_is_the_trunks_backbone_and_no_more(trunk):
    run = recipe_search.branch('shapes_warm', 'student', 1, trunk.work_dir.parents[2])
    cfg = Config.fromfile(run.config)
    model = MODELS.build(cfg.model)
    model.init_weights()
    trunk = torch.load(trunk.checkpoint)['state_dict']
    learned = {name: value for name, value in model.state_dict().items() if name in trunk
               and name.endswith('.weight') and value.ndim > 1}
    same = {name for name, value in learned.items() if value.equal(trunk[name])}
    assert same == {name for name in learned if name.startswith('backbone.')} != set()


@pytest.fixture(scope='module')
def five_classes(small, tmp_path_factory):
    """The images of the second pair."""
    folder = tmp_path_factory.mktemp('five')
    for seed, part in enumerate(('train', 'val')):
        generate(folder, part, ShapesConfig(8, size=64, num_classes=5, seed=seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PAIRS, 'shapes_b', PAIRS['shapes_b']._replace(data_root=f'{folder}/'))
        yield small


def test_the_second_pair_has_one_teacher(five_classes, monkeypatch):
    """Its own, which is trained first."""
    runs = search(monkeypatch, five_classes, '--bench', 'shapes_b_warm', '--seeds', '0',
                  '--methods', 'kd_tau1')
    cfg = Config.fromfile(runs / 'shapes_b_warm/kd_tau1/seed_0/kd_tau1.py')
    assert cfg.model.teacher_ckpt == str(runs / 'shapes_b/teacher/epoch_1.pth')
    trunk = runs / 'shapes_b/trunk/seed_0/epoch_1.pth'
    assert cfg.model.backbone.init_cfg.checkpoint == str(trunk) and trunk.exists()
    search(monkeypatch, five_classes, '--bench', 'shapes_b', '--seeds', '0', '--methods', 'kd_tau1')
    cfg = Config.fromfile(runs / 'shapes_b/kd_tau1/seed_0/kd_tau1.py')
    assert cfg.model.teacher_ckpt == str(runs / 'shapes_b/teacher/epoch_1.pth')
    out = five_classes / 'docs/evidence/shapes_b.jsonl'
    (line, ) = map(json.loads, out.read_text().splitlines())
    assert line['bench'] == 'shapes_b'
    # the weights that it began from, by their names and values
    digest = hashlib.sha256()
    for part in ('teacher/epoch_1.pth', 'trunk/seed_0/epoch_1.pth'):
        for name, value in sorted(torch.load(runs / 'shapes_b' / part)['state_dict'].items()):
            digest.update(name.encode() + value.numpy().tobytes())
    assert line['start'] == digest.hexdigest()[:8]


@pytest.mark.parametrize('start', ['01234567', None])
def test_runs_that_began_from_other_weights_are_not_mixed(five_classes, monkeypatch, start):
    """Those of another machine, and those of which it is not known."""
    out = five_classes / 'docs/evidence/shapes_b_warm.jsonl'
    before = ''.join(json.dumps(dict(method='kd_tau1', seed=seed, start=start) if start else
                                dict(method='kd_tau1', seed=seed)) + '\n' for seed in (0, 7))
    out.write_text(before)
    with pytest.raises(SystemExit, match=r'shapes_b_warm.*seed 0 began from other.*--out'):
        search(monkeypatch, five_classes, '--bench', 'shapes_b_warm', '--seeds', '0', '--methods',
               'student')
    assert out.read_text() == before


def test_the_bench_from_scratch_has_no_trunk_and_keeps_the_curve(small, monkeypatch):
    monkeypatch.setitem(BENCHES, 'shapes_scratch', BENCHES['shapes_scratch']._replace(epochs=2))
    runs = search(monkeypatch, small, '--bench', 'shapes_scratch', '--seeds', '0',
                  '--methods', 'student')
    cfg = Config.fromfile(runs / 'shapes_scratch/student/seed_0/student.py')
    assert 'init_cfg' not in cfg.model and cfg.model.backbone.init_cfg is None
    line = json.loads((small / 'docs/evidence/shapes_scratch.jsonl').read_text())
    (first, _), (second, mAP) = line['mAP_by_epoch']
    assert (first, second) == (1, 2) and mAP == pytest.approx(line['mAP'], abs=1e-5)


def test_wrong_labels_are_those_of_the_students_the_trunk_and_the_teacher(
        small, tmp_path, monkeypatch):
    for part in Path(PAIRS['shapes_noisy'].data_root).iterdir():
        (tmp_path / part.name).symlink_to(part)
    clean = json.loads((tmp_path / 'train.json').read_text())
    call(monkeypatch, noisy_labels, tmp_path / 'train.json', tmp_path / 'train_noisy.json')
    monkeypatch.setitem(PAIRS, 'shapes_noisy',
                        PAIRS['shapes_noisy']._replace(data_root=f'{tmp_path}/'))
    runs = search(monkeypatch, small, '--bench', 'shapes_noisy', '--seeds', '0',
                  '--methods', 'ctkd')
    configs = [Config.fromfile(runs / name) for name in (
        'shapes_noisy/teacher/teacher.py', 'shapes_noisy/trunk/seed_0/trunk.py',
        'shapes_noisy/ctkd/seed_0/ctkd.py')]
    assert [cfg.train_dataloader.dataset.ann_file for cfg in configs] == ['train_noisy.json'] * 3
    assert configs[2].val_dataloader.dataset.ann_file == 'val.json'
    assert configs[2].model.teacher_ckpt == str(runs / 'shapes_noisy/teacher/epoch_1.pth')
    assert clean == json.loads((tmp_path / 'train.json').read_text())


@pytest.mark.parametrize('bench', ['deeppcb', 'deeppcb_scratch', 'neu_det', 'coco_real'])
def test_real_images_in_their_smallest_form(small, tmp_path, monkeypatch, bench):
    """A teacher from the backbone that was put there; it teaches maps and logits."""
    name = BENCHES[bench].pair
    pair, images = PAIRS[name], Path(PAIRS[name].data_root)
    for part in ('train', 'val'):
        data = json.loads((images / f'{part}.json').read_text())
        data['categories'] = [dict(id=i, name=text) for i, text in enumerate(pair.classes)]
        for annotation in data['annotations']:
            annotation['category_id'] %= len(pair.classes)
        shutil.copytree(images / part, tmp_path / 'images', dirs_exist_ok=True)
        (tmp_path / f'{part}.json').write_text(json.dumps(data))
    teacher = copy.deepcopy(pair.teacher)
    torch.manual_seed(0)  # deeppcb_scratch has the teacher of deeppcb
    backbone = MODELS.build(dict(type='MobileNetV2')).state_dict()
    torch.save(backbone, tmp_path / 'mobilenet.pth')
    teacher['backbone']['init_cfg']['checkpoint'] = str(tmp_path / 'mobilenet.pth')
    monkeypatch.setitem(PAIRS, name, pair._replace(
        data_root=f'{tmp_path}/', teacher=teacher, compiled=False))
    runs = search(monkeypatch, small, '--bench', bench, '--seeds', '0', '--methods', 'ctkd+pkd')
    (line, ) = map(json.loads, (small / f'docs/evidence/{bench}.jsonl').read_text().splitlines())
    assert line['temperatures']['tau_mean'] == pytest.approx(1, abs=0.02) and 0 <= line['mAP'] <= 1
    losses = Config.fromfile(runs / bench / 'ctkd+pkd/seed_0/ctkd+pkd.py').model.distill_losses
    weights = FEATURE_WEIGHTS.get(name, FEATURE_WEIGHTS['shapes'])
    assert losses.loss_pkd.loss_weight == weights['pkd']
    trained = torch.load(runs / name / 'teacher/epoch_1.pth')['state_dict']
    # a step of training away from it, and not drawn anew
    layer = 'layer3.0.expand_conv.conv.weight'
    first = backbone[layer]
    assert 0 < (trained[f'backbone.{layer}'] - first).norm() < 0.1 * first.norm()


def test_a_sharpened_teacher_is_surer_and_nothing_else(small, tmp_path, monkeypatch):
    target = tmp_path / 'sharp.pth'
    shipped = ROOT / 'configs' / 'shapes' / 'teacher.pth'
    call(monkeypatch, sharpen_teacher, shipped, target, '--factor', '3')
    before, after = (torch.load(path)['state_dict'] for path in (shipped, target))
    x = torch.randn(5, before['roi_head.bbox_head.fc_cls.weight'].shape[1], dtype=torch.float64)
    old, new = (torch.nn.functional.linear(x, *(
        weights[f'roi_head.bbox_head.fc_cls.{name}'].double() for name in ('weight', 'bias')))
        for weights in (before, after))
    # single precision: 2**-24 of each weight
    torch.testing.assert_close(new, 3 * old, rtol=1e-6, atol=1e-6)
    assert all(value.equal(before[name]) for name, value in after.items() if 'fc_cls' not in name)
    monkeypatch.setitem(PAIRS, 'shapes_sharp',
                        PAIRS['shapes_sharp']._replace(teacher_ckpt=str(target)))
    runs = search(monkeypatch, small, '--bench', 'shapes_sharp', '--seeds', '0',
                  '--methods', 'kd_tau4')
    cfg = Config.fromfile(runs / 'shapes_sharp/kd_tau4/seed_0/kd_tau4.py')
    assert cfg.model.teacher_ckpt == str(target)
    assert cfg.model.teacher_config == str(ROOT / 'configs' / 'shapes' / 'teacher.py')
