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
    KnowledgeDistillationDINO,
    KnowledgeDistillationTwoStageDetector,
)
from ctkd_det.models.detectors.distilled import DistilledDetector
from families import DENSE, DETR, TWO_STAGE
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
    common, two_stage, dense, detr = (set(inspect.signature(cls.__init__).parameters) for cls in (
        DistilledDetector, KnowledgeDistillationTwoStageDetector,
        KnowledgeDistillationDenseDetector, KnowledgeDistillationDINO))
    ours = (common | two_stage | dense | detr) - {
        'self', 'args', 'kwargs', 'distill_losses', 'eval_teacher', 'teacher_options',
        'teacher_compile', 'teacher_fold', 'teacher_dtype',  # docs/training.md
        'teacher_loss_weight'}  # docs/methods.md
    assert shown == ours and dense - common - two_stage == {'cross_head', 'use_syncbn'}
    assert detr - common == {'distilled_queries'}


def test_each_family_has_a_row_and_its_test():
    section = PAGE.partition('## What each family can distil')[2].partition('\n## ')[0]
    found = re.findall(r'^\| ([^|]+) \|.* `(test_\w+)\.py` \|$', section, re.M)
    assert [test for _, test in found] == [
        *['test_two_stage_families'] * len(TWO_STAGE), *['test_dense_families'] * len(DENSE),
        *['test_detr_families'] * len(DETR)]

    def plain(name):
        return re.sub('r-cnn|detr|[^a-z]', '', name.lower())

    assert [plain(name) for name, _ in found] == [
        plain(key) for key in (*TWO_STAGE, *DENSE, *DETR)]
