"""A whole training against the path that the modules published by CTKD's authors take.

ctkd_reference.json states the toy problem and holds the numbers, in float64.
"""
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from ctkd_det.hooks import CurriculumHook
from ctkd_det.models import KDLoss

REFERENCE = json.loads((Path(__file__).parent / 'ctkd_reference.json').read_text())
PROBLEM, TRAJECTORY = REFERENCE['problem'], REFERENCE['trajectory']
SAMPLES, STEPS = PROBLEM['samples'], PROBLEM['iterations_per_epoch']
ROWS, J, C = (torch.arange(n, dtype=torch.float64)
           for n in (SAMPLES, PROBLEM['features'], PROBLEM['classes']))
TEACHER = 8 * torch.cos(1.1 * J[:, None] + 0.7 * C + 0.3 * J[:, None] * C)
KD_WEIGHT = 0.9


class Toy(BaseModel):
    """A linear classifier whose images are given by the number of the step."""

    def __init__(self):
        super().__init__()
        self.student = nn.Parameter(0.3 * torch.sin(0.9 * J[:, None] - 1.3 * C))
        self.distill_losses = nn.ModuleDict(dict(loss_ctkd=KDLoss(
            dict(type='GlobalTemperature', tau_min=1, tau_range=20, init=1),
            loss_weight=KD_WEIGHT))).double()
        self.step = 0

    def forward(self, inputs, mode='tensor'):
        x = torch.sin(1.7 * self.step + 2.3 * ROWS[:, None] + 3.1 * J + 0.5 * ROWS[:, None] * J)
        self.step += 1
        s, t = x @ self.student, x @ TEACHER
        labels = t.argmax(1)
        return dict(loss_cls=0.1 * F.cross_entropy(s, labels),
                    loss_ctkd=self.distill_losses['loss_ctkd'](s, t, labels))


class Recorder(Hook):
    """Writes down what the reference has of each step."""
    priority = 'VERY_LOW'

    def __init__(self):
        self.path = {name: [] for name in TRAJECTORY}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        temperature = runner.model.distill_losses['loss_ctkd'].temperature
        self.path['lambda_'].append(temperature.grl.lambda_)
        self.path['tau'].append(temperature(None, None, None).item())

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.path['kl_times_tau_squared'].append(outputs['loss_ctkd'].item() / KD_WEIGHT)
        self.path['theta_after_step'].append(
            runner.model.distill_losses['loss_ctkd'].temperature.theta.item())


def test_lambda_tau_loss_and_student_take_the_authors_path(tmp_path):
    model, recorder = Toy(), Recorder()
    Runner(
        model=model, work_dir=str(tmp_path),
        train_cfg=dict(by_epoch=True, max_epochs=PROBLEM['epochs']),
        train_dataloader=dict(dataset=torch.zeros(STEPS), batch_size=1, num_workers=0,
                              sampler=dict(type='DefaultSampler', shuffle=False)),
        optim_wrapper=dict(optimizer=dict(
            type='SGD', lr=0.5, momentum=0.9, weight_decay=5e-4)),
        custom_hooks=[CurriculumHook(end=10, convert_to_iter_based=False), recorder],
        default_scope='mmdet', experiment_name=tmp_path.name).train()
    path = recorder.path
    # The KL is a difference of numbers near 1, times tau^2, at most 441: rounding alone is 1e-13.
    for name, abs_ in (('lambda_', 1e-14), ('tau', 1e-13), ('theta_after_step', 1e-13),
                       ('kl_times_tau_squared', 1e-13)):
        assert len(path[name]) == PROBLEM['epochs'] * STEPS
        assert path[name] == pytest.approx(TRAJECTORY[name], rel=1e-13, abs=abs_), name
    torch.testing.assert_close(
        model.student.detach(), torch.tensor(TRAJECTORY['student_after'], dtype=torch.float64),
        rtol=1e-12, atol=1e-13)
