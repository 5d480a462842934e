"""What ``pip install .`` gives to someone without the checkout."""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import mmdet
import pytest
from mmdet.datasets import CocoDataset

from helpers import CONFIGS, ROOT, environment, make_shapes, pip

WORKER = Path(__file__).parent / 'inherit_worker.py'
SHIPPED = [path.relative_to(CONFIGS).as_posix() for path in sorted(CONFIGS.rglob('*.py'))]
# all of them train with CTKD_DET_LONG=1; these always: each kind of fragment, and of recipe
SOME = ['_base_/distill/ctkd_instance.py', '_base_/distill/ctkd_sigmoid.py', 'shapes/ctkd.py',
        'shapes/student.py', 'ctkd/mask-rcnn_r18_fpn_ctkd-r101_1x_coco.py']
TRAINS = """
_base_ = {base}
train_cfg = dict(max_epochs=1)
train_dataloader = dict(batch_size=2, dataset=dict(data_root='{data}/'))
val_cfg = val_dataloader = val_evaluator = None
test_cfg = test_dataloader = test_evaluator = None
param_scheduler = None
"""


@pytest.fixture(scope='module')
def editable(source, tmp_path_factory):
    """Python of an environment in which a copy of the checkout is installed editable."""
    folder = tmp_path_factory.mktemp('editable')
    copy = shutil.copytree(source, folder / 'checkout')
    python = environment(folder / 'venv')
    pip('--python', str(python), 'install', '-q', '--no-deps', '--no-build-isolation', '-e',
        str(copy))
    return python


@pytest.fixture(scope='module')
def coco(tmp_path_factory):
    """Two images with boxes and masks of COCO's classes."""
    folder = make_shapes(tmp_path_factory.mktemp('coco'), num_images=2)
    shutil.copy(folder / 'train.json', folder / 'shapes.json')
    content = json.loads((folder / 'train.json').read_text())
    for category, name in zip(content['categories'], CocoDataset.METAINFO['classes'],
                              strict=False):
        category['name'] = name
    for annotation in content['annotations']:
        x, y, w, h = annotation['bbox']
        annotation['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    (folder / 'train.json').write_text(json.dumps(content))
    return folder


def run(installed, cwd, *command, python=sys.executable):
    result = subprocess.run([python, *map(str, command)], cwd=cwd, capture_output=True, text=True,
                            env={**os.environ, 'PYTHONPATH': str(installed)})
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def trained(printed):
    return [line.split()[1] for line in printed.splitlines() if line.startswith('trained ')]


def test_what_is_inherited_by_package_name_trains(installed, coco, tmp_path):
    printed = run(installed, tmp_path, WORKER, f'{coco}/', *SOME)
    package = next(line for line in printed.splitlines() if line.endswith('ctkd_det/__init__.py'))
    assert package.startswith(str(installed)) and trained(printed) == SOME
    assert 'Failed to' not in printed  # mmengine's, of a scope or registry it does not find


@pytest.mark.skipif('CTKD_DET_LONG' not in os.environ, reason='minutes: set CTKD_DET_LONG=1')
def test_every_fragment_and_recipe_trains_inherited_by_package_name(installed, coco, tmp_path):
    names = [name for name in SHIPPED if name.startswith('_base_/distill/')
             or not name.startswith('_base_/')]
    assert trained(run(installed, tmp_path, WORKER, f'{coco}/', *names)) == names


def test_an_editable_install_trains_by_package_name(editable, shapes, tmp_path):
    (tmp_path / 'mine.py').write_text(
        TRAINS.format(base="'ctkd_det::shapes/ctkd.py'", data=shapes))
    printed = run('', tmp_path, '-m', 'ctkd_det_cli', 'train', 'mine.py', '--work-dir', 'runs',
                  python=editable)
    assert (tmp_path / 'runs' / 'epoch_1.pth').is_file(), printed
    links = editable.parents[2] / 'checkout' / 'ctkd_det' / '.mim'
    assert (links / 'configs').resolve() == links.parents[1] / 'configs'


def test_mmdetections_own_train_inherits_where_the_base_imports_us(editable, shapes, tmp_path):
    """It reads the config before anything could have imported ctkd_det."""
    (tmp_path / 'mine.py').write_text(TRAINS.format(
        base="__import__('ctkd_det').__name__ + '::shapes/ctkd.py'", data=shapes))
    run('', tmp_path, Path(mmdet.__file__).parent / '.mim' / 'tools' / 'train.py', 'mine.py',
        '--work-dir', 'runs', python=editable)
    assert (tmp_path / 'runs' / 'epoch_1.pth').is_file()


def test_the_package_index_gets_no_relative_link(installed):
    metadata = next(installed.glob('*.dist-info/METADATA')).read_text(encoding='utf-8')
    assert re.findall(r'\]\((?!https?://|#)[^)]*\)', metadata) == []
    assert 'License-Expression: Apache-2.0' in metadata
    assert (installed / 'ctkd_det' / 'py.typed').is_file()


def test_configs_and_tools_ship_as_mim_expects(installed):
    mim = installed / 'ctkd_det' / '.mim'
    assert (mim / 'model-index.yml').is_file() and (mim / 'tools' / 'train.py').is_file()
    assert os.access(mim / 'tools' / 'dist_train.sh', os.R_OK)
    shipped = {p.relative_to(mim / 'configs') for p in (mim / 'configs').rglob('*.py')}
    assert shipped == {p.relative_to(ROOT / 'configs') for p in (ROOT / 'configs').rglob('*.py')}
    assert (mim / 'configs' / 'shapes' / 'teacher.pth').is_file()


def test_files_of_the_package_are_found_in_it(installed, tmp_path):
    """The report's template, the three lines of docs/distil.md, and a recipe by mim's index."""
    three_lines = re.search(r'```python\n(.*?)```', (ROOT / 'docs' / 'distil.md').read_text(), re.S)
    (tmp_path / 'my_distill.py').write_text(three_lines.group(1))
    (tmp_path / 'my_student.py').write_text(
        "_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'")
    template, page, loss, depth, recipe = run(
        installed, tmp_path, '-c',
        'import ctkd_det; from ctkd_det.visualization.report import page;'
        'from mmengine.config import Config; from mmengine.hub import get_config;'
        "print(all((page._HERE / name).is_file() for name in"
        " ('template.html', 'style.css', 'report.js')), page.__file__);"
        "cfg = Config.fromfile('my_distill.py');"
        'print(cfg.model.distill_losses.loss_ctkd.type, cfg.model.backbone.depth);'
        "print(get_config('ctkd_det::kd/faster-rcnn_r18_fpn_kd-r101_1x_coco.py')"
        '.model.distill_losses.loss_kd.type)').split()[-5:]
    assert template == 'True' and str(installed) in page
    assert (loss, depth, recipe) == ('KDLoss', '50', 'KDLoss')


def test_the_command(installed, tmp_path):
    points = next(installed.glob('*.dist-info')) / 'entry_points.txt'
    assert 'ctkd-det = ctkd_det_cli.main:cli' in points.read_text()
    assert 'instance_kl' in run(installed, tmp_path, '-m', 'ctkd_det_cli', 'benchmark')
    printed = run(installed, tmp_path, '-m', 'ctkd_det_cli', 'distill',
                  'faster-rcnn_r18_fpn_1x_coco', '--teacher', 'faster-rcnn_r50_fpn_1x_coco',
                  '--teacher-ckpt', 'auto', '--method', 'ctkd_class', '--dry-run')
    assert "_base_ = 'ctkd_det::students/faster-rcnn_r18_fpn_1x_coco.py'" in printed
    assert str(installed) not in printed


def test_shipped_tools_run(installed, tmp_path):
    """One after the other in one interpreter; ``--help`` ends each."""
    tools = installed / 'ctkd_det' / '.mim' / 'tools'
    printed = run(installed, tmp_path, '-c', 'import contextlib, runpy, sys\n'
                  f'for tool in ({str(tools / "train.py")!r}, {str(tools / "test.py")!r}):\n'
                  '    sys.argv = [tool, "--help"]\n'
                  '    with contextlib.suppress(SystemExit):\n'
                  '        runpy.run_path(tool, run_name="__main__")\n')
    assert '--auto-scale-lr' in printed and '--tta' in printed
