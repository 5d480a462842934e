"""Every config of MMDetection's zoo is taken, or refused by a sentence before a file is written.

A sample runs always; ``CTKD_DET_LONG=1`` sweeps all of them, which takes some ten minutes.
"""
import os
import re

import click
import pytest
import torch
from mmengine.config import Config

from cli.conftest import ELSEWHERE, invoke
from ctkd_det_cli.distill import pair
from ctkd_det_cli.distill.recipe import Recipe
from ctkd_det_cli.distill.zoo import _all_names, _configs, find_config

# one for each kind of answer: taken, another kind of detector, another head, another package,
# a method of its own, more than one answer for a RoI, logits of another kind, nothing to build
TAKEN = ['faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco.py',
         'dcnv2/faster-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py',
         'grid_rcnn/grid-rcnn_r50_fpn_gn-head_2x_coco.py',
         'yolox/yolox_tiny_8xb8-300e_coco.py', 'dino/dino-4scale_r50_8xb2-12e_coco.py']
REFUSED = {
    'detr/detr_r50_8xb2-150e_coco.py': 'a DETR cannot be distilled: only two-stage and',
    'soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py': 'a SoftTeacher',
    'ssd/ssd300_coco.py': 'SSDHead cannot be distilled',
    'ld/ld_r18-gflv1-r101_fpn_1x_coco.py': 'is a distillation config',
    'convnext/mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco.py': 'needs the module mmpretr',
    'panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py': 'PanopticFPN .* has its own .*loss',
    'crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman.py': 'MultiInstanceRoIHead cannot',
    'scnet/scnet_r50_fpn_1x_coco.py': 'SCNetRoIHead cannot be distilled',
    'centernet/centernet_tta.py': 'is no model'}
SENTENCE = re.compile('cannot be (distilled|read|built)|only detectors can|no bbox_head|'
                      'is a distillation config')


@pytest.fixture(scope='module', autouse=True)
def built_once():
    """Student and teacher are the same model: built once, without values for its weights."""
    build, last = pair._build, {}

    def remembered(model, name):
        key = repr({k: v for k, v in model.items() if k != 'type'})
        if key not in last:
            last.clear()
            last[key] = build(model, name)
        return last[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair, '_build', remembered)
        for name in ('kaiming_uniform_', 'uniform_', 'normal_', 'xavier_uniform_'):
            patch.setattr(torch.nn.init, name, lambda tensor, *args, **kwargs: tensor)
        yield


@pytest.mark.parametrize('name', [*TAKEN, *REFUSED])
def test_a_sample(name, tmp_path):
    path, out = _configs('mmdet') / name, tmp_path / 'x.py'
    result = invoke('distill', path, '--teacher', path, '--teacher-ckpt',
                    ELSEWHERE, '--method', 'kd', '--dry-run', '--out', out)
    if name in TAKEN:
        assert result.exit_code == 0, result.output
        model = Config.fromfile(out).model
        assert model.type.startswith('KnowledgeDistillation') and model.teacher_config
    else:
        said = ' '.join(result.output.split())
        assert result.exit_code == 1 and not out.exists() and SENTENCE.search(said), said
        assert re.search(REFUSED[name], said), said


def answer(path):
    """'taken', or why not; anything but a ClickException is a fault."""
    try:
        source = find_config(str(path))
        recipe = Recipe(source, source, 'teacher.pth', 'kd')
        recipe.check()
        assert 'KnowledgeDistillation' in recipe.text(path.parent)
    except click.ClickException as error:
        return ' '.join(error.format_message().split())
    return 'taken'


@pytest.mark.skipif('CTKD_DET_LONG' not in os.environ, reason='minutes: set CTKD_DET_LONG=1')
def test_all_of_them():
    answers = {path: answer(path) for paths in _all_names().values() for path in paths
               if path.is_relative_to(_configs('mmdet'))}
    taken = [path for path, said in answers.items() if said == 'taken']
    wrong = {path.stem: said for path, said in answers.items()
             if said != 'taken' and not SENTENCE.search(said)}
    assert not wrong and len(answers) > 600 and len(taken) > 300
