"""tools/reproduce_coco.sh: what it refuses, what it runs, and that it does nothing twice."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from mmengine.config import Config

import forked
from helpers import CONFIGS, ROOT, distill, student_config, use_data

FAKE = '''#!/usr/bin/env bash
echo "$(basename "$0") $*" >> "$CALLS"
while [ $# -gt 0 ]; do
    [ "$1" = --work-dir ] && mkdir -p "$2" && touch "$2/epoch_12.pth"
    shift
done
'''


@pytest.fixture
def tree(tmp_path):
    """A checkout with COCO's folders, and stand-ins for what takes days."""
    shutil.copytree(ROOT / 'tools', tmp_path / 'tools')
    for name in ('train2017', 'val2017', 'annotations'):
        (tmp_path / 'data' / 'coco' / name).mkdir(parents=True)
    for part in ('train', 'val'):
        (tmp_path / 'data' / 'coco' / 'annotations' / f'instances_{part}2017.json').touch()
    for name in ('torchrun', 'fakepython'):
        (tmp_path / name).write_text(FAKE)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def reproduce(tree: Path, *args: str, **env: str) -> subprocess.CompletedProcess:
    env = dict(os.environ, PATH=f'{tree}:{os.environ["PATH"]}', CALLS=str(tree / 'calls'),
               PYTHON='fakepython', **env)
    return subprocess.run(['bash', str(tree / 'tools' / 'reproduce_coco.sh'), *args], env=env,
                          capture_output=True, text=True)


def test_says_what_is_missing_before_anything_runs(tree):
    shutil.rmtree(tree / 'data' / 'coco' / 'val2017')
    result = reproduce(tree)
    assert result.returncode == 1 and 'data/coco/val2017 is missing' in result.stderr
    assert reproduce(tree, '3').returncode == 2
    unknown = reproduce(tree, METHODS='kd boxkd')
    assert unknown.returncode == 2 and 'no method boxkd; there are: ' in unknown.stderr
    assert not (tree / 'calls').exists()


def test_teacher_first_then_every_method_and_seed_once(tree):
    assert reproduce(tree, '4', SEEDS='0 1').returncode == 0
    calls = (tree / 'calls').read_text().splitlines()
    assert 'check_teacher.py' in calls[0] and '--at-least 0.393' in calls[0]
    assert 'report.py' in calls[-1] and calls[-1].count('seed_') == 10
    trainings = [call for call in calls if call.startswith('torchrun')]
    assert len(trainings) == 10 == len(calls) - 2
    for call in trainings:
        assert '--nproc_per_node=4' in call and 'train_dataloader.batch_size=4' in call
        assert '--resume' in call and (ROOT / call.split('train.py ')[1].split()[0]).exists()
    assert sum('randomness.seed=1' in call for call in trainings) == 5
    reproduce(tree, '4', SEEDS='0 1')
    again = (tree / 'calls').read_text().splitlines()[len(calls):]
    assert not any(call.startswith('torchrun') for call in again)


@pytest.mark.parametrize('at_least, passes', [('0.9', False), ('-1', True)])
def test_a_teacher_that_is_not_good_enough_stops_everything(at_least, passes, shapes, tmp_path):
    teacher = tmp_path / 'teacher.py'
    use_data(Config.fromfile(CONFIGS / 'shapes' / 'teacher.py'), shapes).dump(teacher)
    cfg = distill(student_config(), dict(
        teacher_config=str(teacher), teacher_ckpt=str(CONFIGS / 'shapes' / 'teacher.pth')))
    cfg.dump(tmp_path / 'distilled.py')
    result = forked.run(
        ROOT / 'tools' / 'benchmarks' / 'check_teacher.py', tmp_path / 'distilled.py',
        '--at-least', at_least, '--work-dir', tmp_path / 'work')
    assert (result.returncode == 0) == passes, result.stderr[-2000:]
    assert 'the teacher has' in result.stdout
