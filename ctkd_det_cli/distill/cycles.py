"""The learning rate schedule of snapshot distillation: two cycles."""
from typing import Any, Dict, Tuple

import click

from ctkd_det.configs import type_name, without_scope
from ..training.advice import MMENGINE_WARM_UPS, schedulers

HOOK = 'SnapshotHook'
# of a warm-up, which the first cycle keeps
WARM_UPS = (*MMENGINE_WARM_UPS, 'QuadraticWarmupLR')


def with_cycles(blocks: Dict[str, Any], base: Any) -> Dict[str, Any]:
    """The overrides, with a hook that takes snapshots and a schedule that has its cycles.

    Args:
        blocks (dict): Overrides of ``base``; as they are without such a hook.
        base (Config): The student's config.

    Raises:
        click.ClickException: if the training is too short for two cycles.
    """
    hooks = blocks.get('custom_hooks', [])
    if not any(hook['type'] == HOOK for hook in hooks):
        return blocks
    length, by_epoch = _length({**base, 'train_cfg': {**base['train_cfg'],
                                                      **blocks.get('train_cfg', {})}})
    first = length // 2
    if not first:
        raise click.ClickException('snapshot: the second half of a training learns from the '
                                   f'first, so {length} epoch is too short: --epochs 2 or more')
    cycle = dict(cycle=first) if by_epoch else dict(cycle=first, by_epoch=False)
    found = blocks.get('param_scheduler') or schedulers(base)
    warm_ups = [without_scope(scheduler, 'mmdet') for scheduler in found
                if type_name(scheduler) in WARM_UPS and not scheduler.get('begin')]
    rate = dict(type='CosineRestartLR', periods=[first, length - first], restart_weights=[1, 1],
                eta_min_ratio=0, begin=0, end=length, by_epoch=by_epoch)
    if by_epoch:
        rate['convert_to_iter_based'] = True
    # CosineRestartLR sets its first rate, and a warm-up multiplies what it finds: so it comes after
    return {**blocks, 'param_scheduler': [rate, *warm_ups],
            'custom_hooks': [dict(hook, **cycle) if hook['type'] == HOOK else hook
                             for hook in hooks]}


def _length(config: Any) -> Tuple[int, bool]:
    """How long a training is, and whether in epochs."""
    epochs = config['train_cfg'].get('max_epochs')
    return (epochs, True) if epochs else (config['train_cfg']['max_iters'], False)
