"""The configs and options that docs/detectors.md shows exist."""
import inspect
import re

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope

from ctkd_det.models import (
    KnowledgeDistillationDenseDetector,
    KnowledgeDistillationTwoStageDetector,
)
from ctkd_det.models.detectors.distilled import DistilledDetector
from helpers import ROOT

PAGE = (ROOT / 'docs' / 'detectors.md').read_text()
CODE = re.findall(r'```python\n(.*?)```', PAGE, re.S)


@pytest.mark.parametrize('code', CODE, ids=['two_stage', 'dense'])
def test_the_shown_configs_build(code, tmp_path):
    (tmp_path / 'config.py').write_text(code)
    cfg = Config.fromfile(tmp_path / 'config.py')
    init_default_scope('mmdet')
    teacher = MODELS.build(get_config(cfg.model.teacher_config).model)
    torch.save(teacher.state_dict(), tmp_path / 'teacher.pth')
    cfg.model.teacher_ckpt = str(tmp_path / 'teacher.pth')
    assert 'loss_kd' in MODELS.build(cfg.model).distill_losses


def test_the_shown_options_are_arguments():
    table = '\n'.join(line for line in PAGE.splitlines() if line.startswith('|'))
    shown = set(re.findall(r'`(\w+)=', table)) - {'type'}
    common, two_stage, dense = (set(inspect.signature(cls.__init__).parameters) for cls in (
        DistilledDetector, KnowledgeDistillationTwoStageDetector,
        KnowledgeDistillationDenseDetector))
    ours = (common | two_stage | dense) - {
        'self', 'args', 'kwargs', 'distill_losses', 'eval_teacher', 'teacher_options',
        'teacher_compile', 'teacher_fold', 'teacher_dtype',  # docs/training.md
        'teacher_loss_weight'}  # docs/methods.md
    assert shown == ours and dense - common - two_stage == {'cross_head', 'use_syncbn'}
