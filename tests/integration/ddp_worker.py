"""What each process of test_ddp_gradients.py runs, and the same in one process."""
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import torch
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.model import MMDistributedDataParallel

from ctkd_det.models.losses.draws import Draws
from helpers import batch, build

# objects on the image of each rank: foreground RoIs are spread unequally
OBJECTS = (6, 1)
STEPS = 5


def make_model(config: Path) -> torch.nn.Module:
    """The config's detector in float64, its adversaries at full strength, BN frozen.

    All ranks and the one process rotate their images alike.
    """
    model = build(Config.fromfile(config)).double().train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()  # a rank's batch statistics are not those of the double batch
        elif isinstance(module, Draws):
            module.generator.manual_seed(0)
    for loss in model.distill_losses.values():
        if hasattr(loss, 'temperature'):
            loss.temperature.grl.lambda_ = 1.0
    return model


def image(model, rank: int, num_objects=None) -> dict:
    data = batch(model, num_images=1, seed=rank,
                 num_objects=OBJECTS[rank] if num_objects is None else num_objects)
    return dict(inputs=data['inputs'].double(), data_samples=data['data_samples'])


def distillation_gradients(model, data: dict) -> dict:
    """Gradients of the distillation losses alone, with everything in the graph."""
    losses = model(**data, mode='loss')
    flat = [(k, x) for k, v in losses.items() if 'loss' in k
            for x in (v if isinstance(v, list) else [v])]
    model.zero_grad()
    sum(x if k.startswith('loss_kd') else 0 * x for k, x in flat).backward()
    model = getattr(model, 'module', model)
    return {k: p.grad.clone() for k, p in model.named_parameters() if p.requires_grad}


def train(model, data: dict) -> dict:
    """Weights after some steps on all losses, in which lambda is 1."""
    wrapped = MMDistributedDataParallel(model, device_ids=None)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    for _ in range(STEPS):
        total, _ = model.parse_losses(wrapped(**data, mode='loss'))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return dict(model.named_parameters())


def without_proposals(propose):
    def empty(*args, **kwargs):
        losses, proposals = propose(*args, **kwargs)
        return losses, [p[:0] for p in proposals]
    return empty


def main(config: str, out: str) -> None:
    # a rank that the others wait for in vain must not hold up the tests for half an hour
    torch.distributed.init_process_group('gloo', timeout=timedelta(seconds=600))
    rank, results = get_rank(), {}
    model = make_model(config)
    results['gradients'] = distillation_gradients(
        MMDistributedDataParallel(model, device_ids=None), image(model, rank))
    for name in ('no_objects', 'no_rois'):
        model = make_model(config)
        data = image(model, rank, num_objects=0 if rank else None)
        if name == 'no_rois' and rank:
            rpn = model.rpn_head
            with patch.object(rpn, 'loss_and_predict', without_proposals(rpn.loss_and_predict)):
                results[name] = train(model, data)
        else:
            results[name] = train(model, data)
    torch.save(results, Path(out) / f'rank{rank}.pt')
    # without it gloo's threads may abort the process as it ends
    torch.distributed.destroy_process_group()

