"""The doctor on this machine, on a broken one, and what it writes when asked to."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mmcv
import pytest
import torch

from cli.conftest import coco, command, invoke, write
from ctkd_det_cli.doctor import packages
from ctkd_det_cli.doctor.ops_file import MARK
from ctkd_det_cli.doctor.packages import PACKAGES, Package, check_package
from ctkd_det_cli.doctor.probes import SERVED, check_config, check_gpu, check_weights
from helpers import CONFIGS, FORK, ROOT


def states(output):
    """State of each row, by the row's title."""
    cells = [line.split('│')[1:3] for line in output.splitlines() if line.startswith('│')]
    return {what.strip(): state.strip() for what, state in cells if state.strip()}


def test_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke('doctor')
    found = states(result.output)
    assert result.exit_code == 0, result.output
    for what in ('Python', 'torch', 'torchvision', 'numpy', 'pycocotools', 'operators'):
        assert found[what] == 'ok'
    assert any(found.get(name) == 'ok' for name in ('mmcv', 'mmcv-lite', 'onedl-mmcv'))
    assert found['data data/coco'] == 'warn'  # nobody has asked for it


def test_an_extra_that_is_not_there():
    row = check_package(Package('no_such_package', ('no-such-package', ), 'pip install it',
                                needed_by='export --format onnx'))
    assert row.state == 'ok' and 'only export --format onnx needs it: pip install it' in row.found


def test_data_and_config(tmp_path):
    write(tmp_path / 'd', dict(train=('train.json', 'train'), val=('val.json', 'val')),
          coco(['cat']))
    (tmp_path / 'c.py').write_text((CONFIGS / 'shapes' / 'ctkd.py').read_text().replace(
        "'./", f"'{CONFIGS}/shapes/").replace("'../", f"'{CONFIGS}/"))
    result = invoke('doctor', '--data', tmp_path / 'd', '--config', tmp_path / 'c.py')
    assert '1 train, 1 val, 1 classes' in result.output
    # the config's {{ fileDirname }} is here, where no teacher lies
    assert result.exit_code == 1 and states(result.output)['teacher_ckpt'] == 'fail'
    assert states(result.output)['teacher_config'] == 'fail'
    for name in ('teacher.pth', 'teacher.py'):
        shutil.copy(CONFIGS / 'shapes' / name, tmp_path)
    text = (tmp_path / 'teacher.py').read_text().replace("'../", f"'{CONFIGS}/")
    (tmp_path / 'teacher.py').write_text(text)
    assert invoke('doctor', '--config', tmp_path / 'c.py').exit_code == 0
    missing = invoke('doctor', '--data', tmp_path / 'nowhere')
    assert missing.exit_code == 1 and 'there is no folder' in ' '.join(missing.output.split())


def test_a_pure_python_config_with_a_module_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'path', list(sys.path))
    (tmp_path / 'beside_doctor.py').write_text('SEEN = True')
    (tmp_path / 'c.py').write_text("""from mmdet.models import RetinaNet
from ctkd_det.hooks import SafeCheckpointHook
custom_imports = dict(imports=['beside_doctor'])
model = dict(type=RetinaNet)
default_hooks = dict(checkpoint=dict(type=SafeCheckpointHook))
""")
    ours, checkpoints, teacher = check_config(tmp_path / 'c.py', 1)
    assert (ours.state, ours.found) == ('ok', 'RetinaNet'), ours
    assert checkpoints.state == 'ok' and teacher.state == 'warn'
    assert 'RetinaNet' in invoke('doctor', '--config', tmp_path / 'c.py').output


def test_all_operators_that_torchvision_stands_in_for_are_named():
    from ctkd_det.compat import torchvision_ops
    functions = {name for name, value in vars(torchvision_ops).items()
                 if getattr(value, '__module__', None) == torchvision_ops.__name__
                 and not name.startswith(('_', 'get_')) and 'backward' not in name}
    assert set(SERVED) == {name.removesuffix('_forward') for name in functions}


def test_broken_packages(tmp_path):
    """A cv2 without its system library, an mmdet that refuses its mmcv, no pycocotools."""
    (tmp_path / 'cv2.py').write_text("raise ImportError('libGL.so.1: cannot open shared object')")
    (tmp_path / 'mmdet').mkdir()
    (tmp_path / 'mmdet' / '__init__.py').write_text("assert False, 'MMCV==9 is incompatible'")
    (tmp_path / 'pycocotools.py').write_text("raise ModuleNotFoundError(name='pycocotools')")
    status, printed = command('doctor', cwd=tmp_path, COLUMNS='200',
                              PYTHONPATH=f'{tmp_path}{os.pathsep}{ROOT}')
    found = states(printed)
    assert status == 1 and 'Traceback' not in printed
    mmdet = 'onedl-mmdetection' if FORK else 'mmdet'
    assert found['torch'] == 'ok' and found[mmdet] == found['operators'] == 'fail'
    assert 'libGL.so.1' in printed and 'MMCV==9 is incompatible' in printed
    assert 'opencv-python-headless' in printed and 'pip install mmdet==3.3.0' in printed
    # both would write the same folder
    assert ('pip uninstall -y onedl-mmdetection && pip' in printed) == FORK
    assert 'fail pycocotools: pip install' in printed


@pytest.mark.parametrize('package, state, found', [
    (Package('numpy', ('numpy', ), 'x', minimum='99'), 'fail', 'need >= 99'),
    (Package('numpy', ('numpy', ), 'x', below='1'), 'fail', 'need < 1'),
    (Package('numpy', ('numpy', ), 'x', minimum='1.0', below='99'), 'ok', ''),
    (Package('no_such_module', ('no-such', ), 'x'), 'fail', 'not installed'),
    # two distributions that write the same folder, as mmcv and mmcv-lite do
    (Package('numpy', ('numpy', 'pillow'), 'x'), 'fail', 'overwrite each other')])
def test_versions(package, state, found):
    row = check_package(package)
    assert row.state == state and found in row.found


MMCV = next(package for package in PACKAGES if package.module == 'mmcv')


@pytest.mark.parametrize('name, version, mend', [
    ('mmcv', '2.1.0', None),
    ('mmcv', '2.2.0', 'pip uninstall -y mmcv && pip install mmcv-lite==2.1.0'),
    ('mmcv', '1.7.2', 'pip uninstall -y mmcv && pip install mmcv-lite==2.1.0'),
    ('mmcv-lite', '2.2.0', 'pip install mmcv-lite==2.1.0'),
    ('onedl-mmcv', '2.3.2', None)])
def test_mmcv_that_mmdet_refuses(monkeypatch, name, version, mend):
    """mmdet 3.3.0 asserts 2.0.0rc4 <= mmcv < 2.2.0; the fork's numbers are its own."""
    monkeypatch.setattr(packages, '_version', {name: version}.get)
    row = check_package(MMCV)
    assert row.what == name and row.state == ('fail' if mend else 'ok')
    if mend:
        assert row.mend == mend and '< 2.2' in row.found and version in row.found


def test_checkpoints_by_url(served):
    folder, url = served
    (folder / 'there.pth').write_bytes(bytes(12_000_000))
    row = check_weights(f'{url}/there.pth', 60)
    assert row.state == 'ok' and '12 MB' in row.found
    assert '404' in check_weights(f'{url}/gone.pth', 60).found
    assert check_weights('https://127.0.0.1:9/x.pth', 1).state == 'fail'
    refused = check_weights('http://127.0.0.1:9/x.pth', 1)
    assert refused.state == 'fail' and 'not https' in refused.found


@pytest.mark.parametrize('platform, mend', [
    ('linux', 'pip install'), ('win32', 'the command that https://pytorch.org'), ('darwin', '')])
def test_a_torch_without_cuda(platform, mend, monkeypatch):
    monkeypatch.setattr(torch.version, 'cuda', None)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(sys, 'platform', platform)
    row, = check_gpu()
    assert row.mend.startswith(mend) and bool(row.mend) == bool(mend)
    assert row.state == ('warn' if mend else 'ok')


@pytest.fixture
def lite(tmp_path) -> Path:
    """A copy of the installed mmcv without operators, in a folder for PYTHONPATH."""
    shutil.copytree(Path(mmcv.__file__).parent, tmp_path / 'mmcv',
                    ignore=shutil.ignore_patterns('__pycache__', '_ext*'))
    return tmp_path


def fix(folder):
    return command('doctor', '--fix', cwd=folder, PYTHONPATH=f'{folder}{os.pathsep}{ROOT}')


def test_fix(lite):
    check = [sys.executable, '-c',
             'import mmdet.engine.hooks, sys, torch; from mmcv.ops import nms;'
             'b = torch.tensor([[0., 0, 9, 9], [0, 0, 9, 8]]);'
             'print(len(nms(b, torch.tensor([.5, .6]), 0.5)[1]), "ctkd_det" in sys.modules)']
    env = {**os.environ, 'PYTHONPATH': f'{lite}{os.pathsep}{ROOT}'}
    broken = subprocess.run(check, env=env, cwd=lite, capture_output=True, text=True)
    assert "No module named 'mmcv._ext'" in broken.stderr
    status, printed = fix(lite)
    assert status == 0 and states(printed)["mmdet's own test.py"] == 'ok'
    assert f'{lite}/mmcv/_ext.py is written; delete it to undo this' in printed
    written = (lite / 'mmcv' / '_ext.py').read_text()
    whole = subprocess.run(check, env=env, cwd=lite, capture_output=True, text=True)
    assert whole.stdout.split()[-2 if FORK else 0:] == ['1', 'False'], whole.stderr
    # with ctkd_det uninstalled, or as good as that
    without = [*check[:2], f'import sys; sys.modules["ctkd_det"] = None; {check[2]}']
    whole = subprocess.run(without, env=env, cwd=lite, capture_output=True, text=True)
    assert whole.stdout.split()[-2 if FORK else 0] == '1', whole.stderr
    (lite / 'mmcv' / '_ext.py').write_text(MARK + 'nms = None')  # of an older version
    again = [sys.executable, '-c',
             'from ctkd_det_cli.doctor.ops_file import write_ops_file, ops_of_mmcv;'
             'assert ops_of_mmcv() == "old"; write_ops_file(); assert ops_of_mmcv() == "ours"']
    subprocess.run(again, env=env, cwd=lite, check=True)
    assert (lite / 'mmcv' / '_ext.py').read_text() == written


def test_fix_leaves_other_operators_alone(lite):
    (lite / 'mmcv' / '_ext.py').write_text('nms = None')
    status, printed = fix(lite)
    assert status == 1 and 'is not ours' in printed
    assert (lite / 'mmcv' / '_ext.py').read_text() == 'nms = None'
    (lite / 'mmcv' / '_ext.py').unlink()
    (lite / 'mmcv' / '_ext.cpython-311-x86_64-linux-gnu.so').touch()
    status, printed = fix(lite)
    assert status == 1 and 'there is nothing to fix' in printed
    assert not (lite / 'mmcv' / '_ext.py').exists()
