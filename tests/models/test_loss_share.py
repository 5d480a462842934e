"""A warning tells if the losses between logits are many times the student's own."""
import json
import re

import pytest
import torch

from ctkd_det.models.detectors import loss_share
from ctkd_det.models.detectors.loss_share import LossShare
from helpers import distill, make_shapes, make_teacher, run, student_config

WARNING = re.compile(r'loss_kd: in 3 steps ([\d.]+) times the student\'s own losses')


@pytest.mark.parametrize('weight, expected', [(1.0, False), (100.0, True)])
def test_says_how_many_times(tmp_path, monkeypatch, weight, expected):
    monkeypatch.setattr(loss_share, '_STEPS', 3)
    cfg = distill(student_config(make_shapes(tmp_path / 'data')), make_teacher(tmp_path), dict(
        loss_kd=dict(type='KDLoss', temperature=1.0, loss_weight=weight),
        # a loss between features has another scale: it is not counted
        loss_pkd=dict(type='PKDLoss', loss_weight=1e3)))
    cfg.train_cfg.max_epochs = cfg.train_cfg.val_interval = 1
    cfg.optim_wrapper.optimizer.lr = 0.0
    run(cfg, tmp_path / 'work')
    log, = (tmp_path / 'work').glob('*/*.log')
    found = WARNING.findall(log.read_text())
    scalars, = (tmp_path / 'work').glob('*/vis_data/scalars.json')
    # the third line has the means of the first three steps
    line = json.loads(scalars.read_text().splitlines()[2])
    own = line['loss'] - line['loss_kd'] - line['loss_pkd']
    assert (line['loss_kd'] > 5 * own) == expected == bool(found)
    if expected:
        assert len(found) == 1
        assert float(found[0]) == pytest.approx(line['loss_kd'] / own, rel=0.02)


def test_stages_of_a_cascade_are_added_and_statistics_are_not(monkeypatch):
    monkeypatch.setattr(loss_share, '_STEPS', 2)
    said = []
    monkeypatch.setattr(loss_share, 'print_log', lambda text, *_: said.append(text))
    share, one = LossShare(), torch.tensor(1.0)
    own = dict(loss_rpn=[one, one], s0_loss_cls=one, acc=100 * one)
    distilled = {'s0.loss_kd': 8 * one, 's1.loss_kd': 10 * one, 'kd.tau_mean': 1e3 * one,
                 'loss_pkd': 1e3 * one}
    share.see(own, distilled, [])  # waits until the loss begins
    small = {key: value / 2 for key, value in distilled.items()}
    for step in (small, small, distilled, distilled, distilled, distilled):
        share.see(own, step, ['loss_kd'])  # of the second two it says so, once
    text, = said
    assert text.startswith('loss_kd: in 2 steps 6.0 times')


@pytest.mark.parametrize('own', [dict(loss_cls=torch.tensor(0.0)), dict(loss_cls=[]), {}])
def test_a_student_without_losses_of_its_own_is_not_compared(monkeypatch, own):
    monkeypatch.setattr(loss_share, '_STEPS', 1)
    said = []
    monkeypatch.setattr(loss_share, 'print_log', lambda text, *_: said.append(text))
    LossShare().see(own, dict(loss_kd=torch.tensor(3.0)), ['loss_kd'])
    assert not said
