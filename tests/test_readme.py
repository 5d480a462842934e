"""The diff that the README shows makes a config that works."""
import re

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from ctkd_det.models import KDLoss
from helpers import ROOT


def test_the_lines_that_distil(tmp_path):
    diff = re.search(r'```diff\n(.*?)```', (ROOT / 'README.md').read_text(), re.S).group(1)
    assert {line[:2] for line in diff.splitlines()} == {'  ', '+ '}
    plain, distilled = ('\n'.join(line[2:] for line in diff.splitlines() if line[:2] in kept)
                        for kept in (['  '], ['  ', '+ ']))
    assert plain == "_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'"
    (tmp_path / 'config.py').write_text(distilled)
    cfg = Config.fromfile(tmp_path / 'config.py')
    init_default_scope('mmdet')
    loss = MODELS.build(cfg.model.distill_losses.loss_ctkd)
    assert isinstance(loss, KDLoss) and abs(loss.temperature(0, 0, 0).item() - 1) < 1e-6
    model = MODELS.build(dict(type='FasterRCNN', **{
        k: v for k, v in cfg.model.items() if 'teacher' not in k and k not in (
            'type', 'distill_losses')}))
    model.distill_losses = loss
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    theta = [g for g in groups if g['params'][0] is loss.temperature.theta]
    assert theta[0]['lr'] == 0.02 * 0.05 and theta[0]['weight_decay'] == 0
