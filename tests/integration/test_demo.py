"""``make demo`` on a handful of images, interrupted and continued."""
import argparse
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
import torch
from mmengine.config import Config, DictAction
from PIL import Image

import forked
from helpers import CONFIGS, ROOT, build

COMMAND = [sys.executable, str(ROOT / 'tools' / 'demo.py'), '--quick', '--images', '48',
           '--methods', 'ctkd']


def test_interrupted_demo_goes_on_and_ends_with_table_and_pictures(tmp_path):
    command = [*COMMAND, '--out', str(tmp_path)]
    folder = tmp_path / 'quick_48_seed0'
    # a shell's background job, as these tests may be one, has SIGINT ignored, and hands that down
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    deadline = time.time() + 600  # it hangs, however busy the machine is
    while not (folder / 'student' / 'epoch_1.pth').exists():
        if first.poll() is not None or time.time() > deadline:
            first.kill()
            pytest.fail(first.communicate()[0])
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGINT)  # what Ctrl-C sends: to all of them
    printed = first.communicate(timeout=600)[0]
    assert first.returncode == 130 and 'goes on from the last finished epoch' in printed

    second = forked.run(*command[1:])
    assert second.returncode == 0, second.stdout + second.stderr
    assert (folder / 'student' / 'log.txt').read_text().count('resumed at       iteration 3') == 1
    for word in ('mAP', 'AP50', 'gain', 'minutes', 'final tau', 'student alone', 'CTKD', 'teacher'):
        assert word in second.stdout
    table = (folder / 'results.md').read_text().splitlines()
    assert len(table) == 5 and float(table[2].split('|')[2]) > 30  # the teacher's mAP
    for name in ('temperature.png', 'detections.png'):
        assert min(Image.open(folder / name).size) > 500
    if find_spec('onnx') and find_spec('onnxruntime'):
        # after two epochs on 48 images it may detect nothing, which the command then says
        said = 'nothing is detected' in second.stdout + second.stderr
        assert said or (folder / 'deployed' / 'onnx.png').exists()
    # the third time there is nothing left to train
    third = forked.run(*command[1:])
    assert third.returncode == 0 and 'ctkd_det_cli train' not in third.stdout


def test_all_students_start_alike(tmp_path):
    """Whatever is distilled, the seed alone decides the initial weights."""
    weights = []
    for name in ('student', 'kd', 'ctkd'):
        weights.append(build(Config.fromfile(CONFIGS / 'shapes' / f'{name}.py')).state_dict())
    assert all(torch.equal(v, other[k]) for k, v in weights[0].items() for other in weights[1:])


def test_the_demo_starts_with_the_trained_backbone(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    import demo
    monkeypatch.setattr(sys, 'argv', ['demo.py', '--out', str(tmp_path)])
    args = demo.parse_args()
    runs = demo.make_runs(args, tmp_path, tmp_path, CONFIGS / 'shapes' / 'teacher.pth')
    assert list(runs) == ['student', 'ctkd'] and args.images == 2000
    trained = torch.load(CONFIGS / 'shapes' / 'student.pth')['state_dict']
    for run in runs.values():
        parser = argparse.ArgumentParser()
        parser.add_argument('--options', nargs='+', action=DictAction)
        cfg = Config.fromfile(run.config)
        cfg.merge_from_dict(parser.parse_args(['--options', *run.options]).options)
        model = build(cfg)
        model.init_weights()
        assert cfg.train_cfg.max_epochs == run.epochs == 4
        state = model.state_dict()
        for key, value in trained.items():
            if key.endswith('conv1.weight') or key.startswith('neck') and value.dim() > 1:
                assert torch.equal(state[key], value.float()) == key.startswith('backbone')


def test_any_method_by_name(tmp_path, monkeypatch):
    """What is not shipped is written as the command line writes it."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    import demo
    assert demo.methods('kd,ctkd,pkd,ctkd+pkd,kd') == ['kd', 'ctkd', 'pkd', 'ctkd+pkd']
    for wrong in ('pdk', 'none', ','):
        with pytest.raises(argparse.ArgumentTypeError, match='pkd|alone'):
            demo.methods(wrong)
    assert demo.config_of('kd', tmp_path, 8) == CONFIGS / 'shapes' / 'kd.py'
    path = demo.config_of('ctkd+pkd', tmp_path, 8)
    assert '+' not in str(path)
    cfg = Config.fromfile(path)
    assert list(cfg.model.distill_losses) == ['loss_ctkd', 'loss_pkd']
    assert len(build(cfg).distill_losses['loss_pkd'].adapters) == 3
