"""What ``pip install .`` gives to someone without the checkout."""
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from helpers import ROOT

CONFIG = '''
_base_ = 'ctkd_det::ctkd/faster-rcnn_r18_fpn_ctkd-r101_1x_coco.py'
'''


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """The built package, unpacked where nothing else of ours is in reach."""
    source, target = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('target')
    for name in ('ctkd_det', 'ctkd_det_cli', 'configs', 'tools', 'requirements', 'setup.py',
                 'pyproject.toml', 'README.md', 'model-index.yml', 'LICENSE'):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation',
                    '-w', str(source), str(source)], check=True, capture_output=True)
    wheel = next(source.glob('*.whl'))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def run(installed, cwd, *command):
    result = subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True,
                            env={**os.environ, 'PYTHONPATH': str(installed)})
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_configs_and_tools_ship_as_mim_expects(installed):
    mim = installed / 'ctkd_det' / '.mim'
    assert (mim / 'model-index.yml').is_file() and (mim / 'tools' / 'train.py').is_file()
    assert os.access(mim / 'tools' / 'dist_train.sh', os.R_OK)
    shipped = {p.relative_to(mim / 'configs') for p in (mim / 'configs').rglob('*.py')}
    assert shipped == {p.relative_to(ROOT / 'configs') for p in (ROOT / 'configs').rglob('*.py')}
    assert (mim / 'configs' / 'shapes' / 'teacher.pth').is_file()


def test_the_report_finds_its_template(installed, tmp_path):
    printed = run(installed, tmp_path, '-c',
                  'import ctkd_det; from ctkd_det.visualization.report import page;'
                  "print(all((page._HERE / name).is_file() for name in"
                  " ('template.html', 'style.css', 'report.js')), page.__file__)")
    assert printed.split()[0] == 'True' and str(installed) in printed


def test_configs_inherit_by_package_name(installed, tmp_path):
    (tmp_path / 'mine.py').write_text(CONFIG)
    printed = run(installed, tmp_path, '-c',
                  'import ctkd_det; from mmengine.config import Config;'
                  "cfg = Config.fromfile('mine.py');"
                  'print(ctkd_det.__file__, cfg.model.type, cfg.train_cfg.max_epochs)')
    assert printed.split() == [str(installed / 'ctkd_det' / '__init__.py'),
                               'KnowledgeDistillationTwoStageDetector', '12']


def test_fragments_join_a_students_config_by_package_name(installed, tmp_path):
    """The three lines of docs/distil.md, in a folder without the checkout."""
    three_lines = re.search(r'```python\n(.*?)```', (ROOT / 'docs' / 'distil.md').read_text(), re.S)
    (tmp_path / 'my_distill.py').write_text(three_lines.group(1))
    (tmp_path / 'my_student.py').write_text(
        "_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'")
    printed = run(installed, tmp_path, '-c',
                  'import ctkd_det; from mmengine.config import Config;'
                  "cfg = Config.fromfile('my_distill.py');"
                  'print(cfg.model.distill_losses.loss_ctkd.type, cfg.model.backbone.depth)')
    assert printed.split() == ['KDLoss', '50']


def test_recipes_are_found_by_name_through_the_model_index(installed, tmp_path):
    printed = run(installed, tmp_path, '-c',
                  'import ctkd_det; from mmengine.hub import get_config;'
                  "print(get_config('ctkd_det::kd/faster-rcnn_r18_fpn_kd-r101_1x_coco.py')"
                  '.model.distill_losses.loss_kd.type)')
    assert printed.split()[-1] == 'KDLoss'


def test_the_command(installed, tmp_path):
    points = next(installed.glob('*.dist-info')) / 'entry_points.txt'
    assert 'ctkd-det = ctkd_det_cli.main:cli' in points.read_text()
    assert 'instance_kl' in run(installed, tmp_path, '-m', 'ctkd_det_cli', 'benchmark')
    printed = run(installed, tmp_path, '-m', 'ctkd_det_cli', 'distill',
                  'faster-rcnn_r18_fpn_1x_coco', '--teacher', 'faster-rcnn_r50_fpn_1x_coco',
                  '--teacher-ckpt', 'auto', '--method', 'ctkd_class', '--dry-run')
    assert f"_base_ = '{installed}/ctkd_det/.mim/configs/students/" in printed


def test_shipped_tools_run(installed, tmp_path):
    tools = installed / 'ctkd_det' / '.mim' / 'tools'
    assert '--auto-scale-lr' in run(installed, tmp_path, str(tools / 'train.py'), '--help')
    assert '--tta' in run(installed, tmp_path, str(tools / 'test.py'), '--help')
