"""The teachers that ``--teacher auto`` takes."""
import re

import pytest
import torch
from mmengine.config import Config

from cli.conftest import invoke
from ctkd_det_cli.distill.known_teachers import KNOWN_TEACHERS
from ctkd_det_cli.distill.zoo import find_config, zoo_entry
from helpers import ROOT

ROWS = re.findall(
    r'^\| `([\w-]+_coco)` \| ([\w. ]+) \| `([\w-]+_coco)` \| ([\d.]+) \| `([\w+]+)` \|$',
    (ROOT / 'docs' / 'detectors.md').read_text(), re.M)


@pytest.fixture(autouse=True)
def no_values(monkeypatch):
    """Weights need no values here."""
    for name in ('kaiming_uniform_', 'uniform_', 'normal_', 'xavier_uniform_', 'trunc_normal_'):
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *args, **kwargs: tensor)


@pytest.mark.parametrize('student,_,teacher,mAP,method', ROWS, ids=[row[0] for row in ROWS])
def test_each_pair_of_the_table_builds_from_one_line(student, _, teacher, mAP, method, tmp_path):
    result = invoke('distill', student, '--teacher', 'auto', '--method', method, '--dry-run',
                    '--out', tmp_path / 'x.py')
    assert result.exit_code == 0, result.output
    model = Config.fromfile(tmp_path / 'x.py').model
    entry = zoo_entry(find_config(teacher).path)
    assert model.teacher_config == find_config(teacher).reference
    assert model.teacher_ckpt == entry['Weights'] and [
        name[len('loss_'):] for name in model.distill_losses] == method.split('+')
    box, = (result['Metrics'] for result in entry['Results']
            if result['Task'] == 'Object Detection')
    assert box['box AP'] == float(mAP)


def test_the_table_shows_all_of_them():
    assert [row[2] for row in ROWS] == list(KNOWN_TEACHERS.values())
    assert all(student.startswith(f'{name}_') for (student, *_), name in zip(
        ROWS, KNOWN_TEACHERS, strict=True))


def test_a_student_without_a_known_teacher(tmp_path):
    result = invoke('distill', 'fcos_r50-caffe_fpn_gn-head_1x_coco', '--teacher', 'auto',
                    '--dry-run', '--out', tmp_path / 'x.py')
    assert result.exit_code == 1 and not (tmp_path / 'x.py').exists()
    assert 'knows no teacher for fcos_r50' in ' '.join(result.output.split())
