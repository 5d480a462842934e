"""Warnings about settings of a schedule that do not fit each other."""
from typing import Any, List, Optional

# mmdet's QuadraticWarmupLR is none of them: it reaches its goal with end=1, too
MMENGINE_WARM_UPS = ('LinearLR', 'ConstantLR')


def schedulers(cfg: Any) -> List[dict]:
    """The config's parameter schedulers, of which there may be none, one or several."""
    found = cfg.get('param_scheduler') or []
    return [found] if hasattr(found, 'keys') else list(found)


def batch_advice(cfg: Any, images: int) -> Optional[str]:
    """Whether the learning rate is made for another number of images in a step.

    Args:
        cfg (Config): Of the training.
        images (int): How many a step has, on all devices together.
    """
    scale = cfg.get('auto_scale_lr') or {}
    base = scale.get('base_batch_size')
    rate = cfg.get('optim_wrapper', {}).get('optimizer', {}).get('lr')
    if not base or not rate or base == images or scale.get('enable'):
        return None
    return (f'The learning rate {rate:g} is for {base} images in a step, and a step has {images}: '
            f'--auto-scale-lr scales it to {rate * images / base:.3g}.')


def warm_up_advice(cfg: Any, iterations: int, epochs: Optional[int] = None) -> Optional[str]:
    """Whether the learning rate stays below what the config says.

    MMEngine's warm-up reaches its goal ``end - 1`` steps after the first: with
    ``end=1`` it never leaves its first value.

    Args:
        cfg (Config): Of the training.
        iterations (int): How many it has.
        epochs (int, optional): How many it has, if it counts them.
    """
    for position, scheduler in enumerate(schedulers(cfg)):
        if scheduler['type'] not in MMENGINE_WARM_UPS or scheduler.get('begin', 0):
            continue
        by_epoch = scheduler.get('by_epoch', True)
        length, unit = (epochs, 'epochs') if by_epoch else (iterations, 'iterations')
        end = scheduler.get('end')
        shortest = 1 if scheduler.get('convert_to_iter_based') else 2
        key = f'param_scheduler.{position}.end'
        if end is not None and end < shortest:
            return (f'The warm-up with end={end} never ends: the learning rate stays at its first '
                    f'value. It takes two {unit} or more: --cfg-options {key}=2')
        if length and end and end > length:
            return (f'The warm-up takes {end} {unit}, but the training has {length}: the learning '
                    'rate never becomes what the config says. ' + (
                        f'A shorter warm-up: --cfg-options {key}={max(shortest, length // 10)}'
                        if length > shortest else 'The training is too short for a warm-up'))
    return None
