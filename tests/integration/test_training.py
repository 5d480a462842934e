"""Whole trainings with the command-line tools: MMDetection's own, and ours."""
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mmdet
import pytest
import torch
from mmengine.config import Config

import forked
from ctkd_det.curves import read_scalars
from helpers import CLASSES, GLOBAL, ROOT, distill, make_shapes, student_config

OUR_TRAIN, OUR_TEST = ROOT / 'tools' / 'train.py', ROOT / 'tools' / 'test.py'
MMDET_TOOLS = Path(mmdet.__file__).parent / '.mim' / 'tools'
IMAGES, BATCH = 8, 2
ITERS = IMAGES // BATCH  # per epoch
END = 3  # epochs of the curriculum


@pytest.fixture(scope='module')
def config(tmp_path_factory, teacher) -> Path:
    """A distilled student's config file: three epochs of four iterations."""
    folder = tmp_path_factory.mktemp('run')
    cfg = distill(student_config(make_shapes(folder / 'data', IMAGES), max_epochs=3), teacher,
                  dict(loss_ctkd=dict(GLOBAL, foreground_weight=0.5)))
    cfg.custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
    cfg.custom_hooks = [dict(type='CurriculumHook', end=END)]
    cfg.optim_wrapper.paramwise_cfg = dict(
        custom_keys=dict(distill_losses=dict(lr_mult=10, decay_mult=0)))
    cfg.visualizer.vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
    cfg.dump(folder / 'config.py')
    return folder / 'config.py'


def tool(script, *args, run=forked.run, **kwargs):
    """Run a tool as a user would; returns what it printed."""
    result = run(script, *args, **kwargs)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout + result.stderr


def interpreter(*command, **kwargs):
    return subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True,
                          **kwargs)


def lambda_at(iteration):
    """The cosine over END epochs at a 0-based iteration, by its half-angle form."""
    return math.sin(math.pi / 2 * min((iteration + 1) / (END * ITERS), 1))**2


@pytest.mark.parametrize('script', [MMDET_TOOLS / 'train.py', OUR_TRAIN], ids=['mmdet', 'ours'])
def test_train(script, config, tmp_path):
    """In an interpreter of its own, from another folder."""
    printed = tool(script, config, '--work-dir', tmp_path / 'work', run=interpreter, cwd=tmp_path)
    for word in ('ctkd.tau_mean', 'ctkd.tau_min', 'ctkd.tau_max', 'ctkd.lambda',
                 'ctkd.theta_grad', 'loss_ctkd', 'coco/bbox_mAP'):
        assert word in printed
    curves = read_scalars(tmp_path / 'work')
    assert curves['ctkd.lambda'][1] == pytest.approx([lambda_at(i) for i in range(3 * ITERS)])
    taus = curves['ctkd.tau_mean'][1]
    assert taus[0] == pytest.approx(1) and len(set(taus)) == 3 * ITERS
    # without momentum so far, the first step goes against the logged gradient
    assert curves['ctkd.theta_grad'][1][0] * (taus[1] - taus[0]) < 0
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(next((tmp_path / 'work').glob('*/vis_data'))))
    events.Reload()
    for name in ('ctkd.tau_mean', 'ctkd.lambda', 'loss_ctkd'):
        assert [e.value for e in events.Scalars(name)] == pytest.approx(curves[name][1])


def test_auto_scale_lr(config, tmp_path):
    tool(OUR_TRAIN, config, '--work-dir', tmp_path, '--auto-scale-lr', '--cfg-options',
         'train_cfg.max_epochs=1')
    # a batch of 2 where the config's learning rate, 0.05, is meant for 16
    assert read_scalars(tmp_path)['lr'][1] == pytest.approx([0.05 * 2 / 16] * ITERS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='mmengine offers AMP on GPUs only')
def test_amp(config, tmp_path):
    tool(OUR_TRAIN, config, '--work-dir', tmp_path, '--amp')
    assert torch.isfinite(torch.tensor(read_scalars(tmp_path)['loss'][1])).all()


def last_checkpoint(work_dir):
    return torch.load((work_dir / 'last_checkpoint').read_text())


@pytest.mark.parametrize('by_epoch', [True, False], ids=['epochs', 'iterations'])
def test_sigkill_and_resume_continue_the_curve(by_epoch, config, tmp_path):
    """Killed in the middle of an epoch, with no chance to clean up."""
    options = ['--cfg-options', 'randomness.seed=0']
    if not by_epoch:
        cfg = Config.fromfile(config)
        cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=3 * ITERS, val_interval=100)
        cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
        cfg.log_processor.by_epoch = False
        cfg.default_hooks.checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=ITERS)
        # an epoch of the infinite sampler is its data set's length in batches
        cfg.custom_hooks = [dict(type='CurriculumHook', end=END * ITERS, by_epoch=False)]
        config = tmp_path / 'iterations.py'
        cfg.dump(config)
    work = tmp_path / 'work'
    with open(tmp_path / 'log.txt', 'w') as log:
        process = forked.start(OUR_TRAIN, config, '--work-dir', work, *options, stdout=log,
                               stderr=log)
    # after the first checkpoint and one more iteration
    deadline = time.time() + 600  # it hangs, however busy the machine is
    while iterations_done(work) < ITERS + 1:
        assert process.is_alive() and time.time() < deadline, (tmp_path / 'log.txt').read_text()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    saved = last_checkpoint(work)
    done = saved['meta']['iter']
    assert 0 < done < 3 * ITERS
    theta = saved['state_dict']['distill_losses.loss_ctkd.temperature.theta']
    assert len(saved['optimizer']['state']) == len(saved['optimizer']['param_groups'])

    tool(OUR_TRAIN, config, '--work-dir', work, '--resume', *options)
    curves = read_scalars(work)
    assert curves['ctkd.lambda'][0] == list(range(1, 3 * ITERS + 1))
    assert curves['ctkd.lambda'][1] == pytest.approx([lambda_at(i) for i in range(3 * ITERS)])
    # the first iteration after the resume has the temperature that was saved
    assert curves['ctkd.tau_mean'][1][done] == pytest.approx(0.5 + 1.5 * theta.sigmoid().item())
    assert last_checkpoint(work)['meta']['iter'] == 3 * ITERS


def iterations_done(work_dir) -> int:
    files = list(work_dir.glob('*/vis_data/scalars.json'))
    lines = files[0].read_text().splitlines() if files else []
    return sum('ctkd.lambda' in line for line in lines)


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory) -> Path:
    work = tmp_path_factory.mktemp('trained')
    tool(OUR_TRAIN, config, '--work-dir', work, '--cfg-options', 'train_cfg.max_epochs=1')
    return work / 'epoch_1.pth'


def test_checkpoint_holds_no_teacher_and_plain_mmdet_detects_the_same(config, trained, tmp_path):
    from mmdet.apis import inference_detector, init_detector
    weights = torch.load(trained)['state_dict']
    assert not [key for key in weights if 'teacher' in key]
    plain_config = student_config()
    plain_config.model.test_cfg.rcnn.score_thr = 0.0
    plain = init_detector(plain_config, None, palette='random', device='cpu')
    missing = plain.load_state_dict(weights, strict=False)
    assert not missing.missing_keys
    assert missing.unexpected_keys == ['distill_losses.loss_ctkd.temperature.theta']
    plain = init_detector(plain_config, str(trained), palette='random', device='cpu')
    cfg = Config.fromfile(config)
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    distilled = init_detector(cfg, str(trained), palette='random', device='cpu')
    image = next((config.parent / 'data' / 'val').glob('*.png'))
    ours, theirs = (inference_detector(m, str(image)).pred_instances for m in (distilled, plain))
    assert len(ours) > 10
    assert torch.equal(ours.bboxes, theirs.bboxes) and torch.equal(ours.scores, theirs.scores)


def test_load_from_a_plain_students_checkpoint(config, trained, tmp_path):
    """A learning rate of 0 leaves what was loaded; theta has its initial value."""
    checkpoint = torch.load(trained)
    theta = 'distill_losses.loss_ctkd.temperature.theta'
    plain = {k: v for k, v in checkpoint['state_dict'].items() if k != theta}
    torch.save(dict(state_dict=plain), tmp_path / 'plain.pth')
    tool(OUR_TRAIN, config, '--work-dir', tmp_path / 'work', '--cfg-options',
         f'load_from={tmp_path}/plain.pth', 'train_cfg.max_epochs=1',
         'optim_wrapper.optimizer.lr=0.0', 'optim_wrapper.optimizer.weight_decay=0.0')
    found = last_checkpoint(tmp_path / 'work')['state_dict']
    assert found[theta].item() == pytest.approx(-math.log(2))  # tau 1 in (0.5, 2)
    batch_statistics = ('running_mean', 'running_var', 'num_batches_tracked')
    assert all(torch.equal(v, found[k]) for k, v in plain.items()
               if not k.endswith(batch_statistics))


def test_our_test_tool_reports_the_same_map_as_training(config, trained, tmp_path):
    during = read_scalars(trained.parent)['coco/bbox_mAP'][1][-1]
    tool(OUR_TEST, config, trained, '--work-dir', tmp_path, '--out', tmp_path / 'found.pkl')
    after = json.loads(next(tmp_path.glob('*/*.json')).read_text())
    assert after['coco/bbox_mAP'] == during and (tmp_path / 'found.pkl').stat().st_size > 1000


def test_mmdets_own_test_tool(config, trained, tmp_path):
    if not sys.modules['mmcv._ext'].__file__.endswith('.so'):
        pytest.skip("mmdet's test.py loads mmcv's operators before the config: full mmcv only")
    assert 'coco/bbox_mAP' in tool(MMDET_TOOLS / 'test.py', config, trained, '--work-dir', tmp_path)


@pytest.mark.parametrize('options, messages', [
    ([], ['give different labels', "takes 'triangle' for 'square'"]),
    (['default_hooks.data.strict=False'],
     ['was trained with other classes', "0: 'triangle' / 'square'"])], ids=['data', 'teacher'])
def test_wrong_classes_stop_before_the_first_step(config, tmp_path, options, messages):
    """The data's check finds it first; without it, the teacher's does."""
    classes = ['square', 'triangle', *CLASSES[2:]]
    result = forked.run(
        OUR_TRAIN, config, '--work-dir', tmp_path, '--cfg-options', *options,
        f'train_dataloader.dataset.metainfo.classes={tuple(classes)}'.replace(' ', ''))
    assert result.returncode == 1 and 'Traceback' not in result.stderr
    assert all(message in result.stderr for message in messages), result.stderr
    assert not list(tmp_path.glob('*.pth')) and 'Epoch(train)' not in result.stderr
