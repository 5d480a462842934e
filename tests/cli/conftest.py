"""A real distillation by ``ctkd-det distill``, once for the tests that look at its results."""
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

import forked
from ctkd_det_cli.main import cli
from helpers import ROOT, make_shapes, make_teacher, student_config

# weights that --dry-run does not fetch, where a test is about the two configs only
ELSEWHERE = 'https://example.org/teacher.pth'


def command(*args, cwd, **env):
    """Run ctkd-det in an interpreter of its own; returns its status and all it printed."""
    env = {**os.environ, 'PYTHONPATH': str(ROOT), **env}
    # a shell's background job, as these tests may be one, has SIGINT ignored, and hands that down
    result = subprocess.run([sys.executable, '-m', 'ctkd_det_cli', *map(str, args)], cwd=cwd,
                            capture_output=True, text=True, env=env,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    return result.returncode, result.stdout + result.stderr


def fork(*args, cwd, **env):
    """Run ctkd-det in a fork of this process; returns its status and all it printed."""
    result = forked.run(cli.main, [str(arg) for arg in args], 'ctkd-det', cwd=cwd, **env)
    return result.returncode, result.stdout + result.stderr


def invoke(*args):
    """Run ctkd-det in this process."""
    result = CliRunner().invoke(cli, [str(arg) for arg in args], prog_name='ctkd-det')
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def distill(*args):
    """What ``ctkd-det distill`` writes and says, without a training."""
    return invoke('distill', '--dry-run', *args)


def coco(classes, masks=True):
    annotation = dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 2, 2], area=4, iscrowd=0)
    if masks:
        annotation['segmentation'] = [[1, 1, 3, 1, 3, 3]]
    return dict(images=[dict(id=1, file_name='a.png', height=40, width=40)],
                annotations=[annotation],
                categories=[dict(id=i + 1, name=name) for i, name in enumerate(classes)])


def write(root, layout, content):
    """Write a data set: ``layout`` gives the JSON file and the image folder of each part."""
    for ann_file, images in layout.values():
        (root / ann_file).parent.mkdir(parents=True, exist_ok=True)
        (root / ann_file).write_text(json.dumps(content))
        (root / images).mkdir(parents=True, exist_ok=True)
        Image.effect_noise((40, 40), 50).convert('RGB').save(root / images / 'a.png')
    return root


@pytest.fixture(scope='session')
def folder(tmp_path_factory) -> Path:
    """A data set, a teacher and a plain student with an EMAHook."""
    folder = tmp_path_factory.mktemp('cli')
    make_shapes(folder / 'shapes')
    make_teacher(folder / 'teacher')
    cfg = student_config(max_epochs=1)
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    cfg.custom_hooks = [dict(type='EMAHook', momentum=0.3)]
    cfg.dump(folder / 'student.py')
    return folder


@pytest.fixture(scope='session')
def distilled(folder) -> Path:
    """The folder after one epoch of distillation: ``distilled.py``, ``work/epoch_1.pth``."""
    status, printed = fork(
        'distill', 'student.py', '--teacher', 'teacher/teacher.py', '--teacher-ckpt',
        'teacher/teacher.pth', '--data', 'shapes', '--method', 'ctkd+dkd', '--out', 'distilled.py',
        '--work-dir', 'work', '--cfg-options', 'randomness.seed=3', 'train_dataloader.batch_size=4',
        cwd=folder)
    assert status == 0, printed[-3000:]
    (folder / 'printed.txt').write_text(printed)
    return folder
