"""How large each loss of a distilled detector is, so that a weight can be chosen without a search.

On a few training batches of a config: each loss's value, the norm of its
gradient in the student's weights, and the weight with which that gradient
would be as large as that of the detector's own losses together. Losses are
measured as if they were active, whatever their windows; the authors of FGD and
MGD advise a distillation loss of the task loss's size.
"""
import argparse
import tempfile
from dataclasses import dataclass
from itertools import islice
from typing import Dict, Iterable, List

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner, load_checkpoint
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import ctkd_det  # noqa: F401
from ctkd_det.models.distilled_config import is_beside_student

OWN = "the detector's own"


@dataclass
class Scale:
    """Of one loss, means over the batches.

    Attributes:
        value: As it is added to the others, its weight in it.
        gradient: Norm over the student's weights.
        weight: ``loss_weight``; None for the detector's own losses.
    """
    value: float
    gradient: float
    weight: float = None


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of a distilled detector')
    parser.add_argument('--checkpoint', help='of the student; else as it begins to train')
    parser.add_argument('--batches', type=int, default=4, help='training batches to look at')
    parser.add_argument('--seed', type=int, default=0, help='of weights, batches and RoIs')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
                        help='changes of the config, as in train')
    return parser.parse_args()


def measure(model: nn.Module, batches: Iterable[dict]) -> Dict[str, Scale]:
    """Value and gradient of each loss.

    Args:
        model (nn.Module): A distilled detector in training mode.
        batches (Iterable[dict]): As a data loader gives them.

    Returns:
        dict[str, Scale]: The detector's own losses, their sum, and the
        distillation losses; the stages of a cascade under one name.
    """
    names = dict(model.distill_losses.items())
    for loss in names.values():
        loss.window.factor = 1.0
    student = [p for name, p in model.named_parameters()
               if p.requires_grad and not is_beside_student(name)]
    found: Dict[str, List[tuple]] = {}
    for data in batches:
        data = model.data_preprocessor(data, training=True)
        losses = model(**data, mode='loss')
        for name, value in _sums(losses, names).items():
            found.setdefault(name, []).append((value.item(), _gradient_norm(value, student)))
    means = {name: [sum(column) / len(rows) for column in zip(*rows, strict=True)]
             for name, rows in found.items()}
    return {name: Scale(*mean, names[name].loss_weight if name in names else None)
            for name, mean in means.items()}


def _sums(losses: Dict[str, object], ours: Iterable[str]) -> Dict[str, Tensor]:
    """Each loss as a scalar, the detector's own together before ours."""
    own: Dict[str, Tensor] = {}
    distilled: Dict[str, Tensor] = {}
    for key, value in losses.items():
        if 'loss' not in key:
            continue
        value = sum(part.mean() for part in value) if isinstance(value, list) else value.mean()
        name = key.split('.')[-1]
        group = distilled if name in ours else own
        group[name] = group.get(name, 0) + value
    return {**own, OWN: sum(own.values()), **distilled}


def _gradient_norm(loss: Tensor, parameters: List[nn.Parameter]) -> float:
    grads = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return torch.stack([grad.norm() for grad in grads if grad is not None] or [
        loss.new_zeros(())]).norm().item()


def table(scales: Dict[str, Scale]) -> Table:
    result = Table('loss', 'value', 'gradient', 'weight', 'value at weight 1',
                   "weight for the detector's gradient")
    for name, scale in scales.items():
        row = [name, f'{scale.value:.4g}', f'{scale.gradient:.4g}']
        if scale.weight:
            even = (f'{scale.weight * scales[OWN].gradient / scale.gradient:.2g}'
                    if scale.gradient else 'none: it has no gradient')
            row += [f'{scale.weight:g}', f'{scale.value / scale.weight:.4g}', even]
        elif scale.weight == 0:
            row += ['0', 'not known: give it a weight', '']
        result.add_row(*row, end_section=name == OWN)
    return result


def main() -> None:
    args = parse_args()
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    cfg.randomness = dict(seed=args.seed)
    cfg.log_level = 'ERROR'
    with tempfile.TemporaryDirectory() as folder:
        cfg.work_dir = folder
        runner = Runner.from_cfg(cfg)
        model = runner.model
        if args.checkpoint:
            load_checkpoint(model, args.checkpoint, map_location='cpu')
        else:
            model.init_weights()
        loader = runner.build_dataloader(cfg.train_dataloader, seed=args.seed)
        scales = measure(model.train(), islice(loader, args.batches))
    Console(width=110).print(table(scales))


if __name__ == '__main__':
    main()
