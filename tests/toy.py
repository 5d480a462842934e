"""A small training that draws random numbers wherever a real one does."""
import random
import uuid
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

import ctkd_det  # noqa: F401
from ctkd_det.models import KDLoss

TEACHER = torch.tensor([[3., 0., -3.]])


class Noise(Dataset):
    """Augmented with all three generators, in the process or in a worker."""
    metainfo = dict()

    def __init__(self, length: int = 10) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        noise = random.random() + np.random.rand() + torch.rand(()).item()
        return dict(inputs=torch.arange(4.) * index / self.length + noise)


class Toy(BaseModel):
    """A linear student with dropout, distilled with a learned temperature.

    The loss has draws of its own; each rank draws another number of them, as for other images.
    """

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.student = nn.Linear(4, 3)
        self.distill_losses = nn.ModuleDict(dict(loss_ctkd=KDLoss(
            dict(type='GlobalTemperature'), rotated=True)))

    def forward(self, inputs: list, mode: str = 'tensor') -> Any:
        x = torch.stack(inputs)
        if mode == 'predict':
            torch.rand(3)  # validation may draw, too
            return [dict(score=score) for score in self.student(x).sum(1)]
        kd = self.distill_losses['loss_ctkd']
        x = x + kd.draws((1 + get_rank(), ), x.device)[-1]
        s = self.student(nn.functional.dropout(x, 0.5, self.training))
        loss = kd(s, TEACHER.expand_as(s), torch.zeros(len(x)).long())
        return dict(loss=loss)


class Score(BaseMetric):
    """Of which a later epoch's is always better."""

    def process(self, data_batch: Any, data_samples: list) -> None:
        self.results += [0.0 for _ in data_samples]

    def compute_metrics(self, results: list) -> dict:
        # known to a resumed run, which a count of the calls would not be
        return dict(mAP=float(MessageHub.get_current_instance().get_info('iter', 0)))


def runner(work_dir: Path, epochs: int = 4, by_epoch: bool = True, workers: int = 0,
           persistent: bool = False, resume: bool = False, hooks: tuple = (), length: int = 10,
           val: bool = True, launcher: str = 'none', model_wrapper_cfg: Optional[dict] = None,
           seed: Optional[int] = 0, saves_by_epoch: Optional[bool] = None,
           **checkpoint: Any) -> Runner:
    """Of ``length / 2`` iterations an epoch; it saves in the unit of its loop, or as is said."""
    iterations = length // 2
    if saves_by_epoch is None:
        saves_by_epoch = by_epoch
    loader = dict(batch_size=2, num_workers=workers, persistent_workers=persistent)
    loop = dict(by_epoch=True, max_epochs=epochs, val_interval=2) if by_epoch else dict(
        by_epoch=False, max_iters=epochs * iterations, val_interval=2 * iterations)
    sampler = 'DefaultSampler' if by_epoch else 'InfiniteSampler'
    validation = dict(
        val_cfg=dict(), val_evaluator=Evaluator(Score(prefix='toy')),
        val_dataloader=dict(loader, dataset=Noise(4), sampler=dict(type='DefaultSampler'))
    ) if val else {}
    return Runner(
        model=Toy(), work_dir=str(work_dir), train_cfg=loop, **validation,
        train_dataloader=dict(loader, dataset=Noise(length), sampler=dict(
            type=sampler, shuffle=True)),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9)),
        param_scheduler=dict(type='CosineAnnealingLR', by_epoch=by_epoch, begin=0,
                             convert_to_iter_based=by_epoch, end=loop.get(
                                 'max_epochs', loop.get('max_iters'))),
        custom_hooks=[dict(type='CurriculumHook'), *hooks], resume=resume, default_scope='mmdet',
        launcher=launcher, cfg=dict(model_wrapper_cfg=model_wrapper_cfg or {}),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint={'type': 'SafeCheckpointHook', 'by_epoch': saves_by_epoch,
                        'interval': 1 if saves_by_epoch else iterations, **checkpoint}),
        randomness=dict(seed=seed), experiment_name=uuid.uuid4().hex,
        log_level='WARNING')
