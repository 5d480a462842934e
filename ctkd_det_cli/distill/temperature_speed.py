"""The learning rate of a temperature under the student's optimizer and schedule."""
import inspect
import json
import math
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config
from mmengine.registry import OPTIMIZERS

from ctkd_det.configs import nested_datasets, registered_class, type_name, without_scope
from ctkd_det.hooks.adaptive_steps import is_adaptive, lr_mult_for
from ..training.advice import schedulers
from .overrides import merged

# the images with boxes of COCO's training set, which need not be here
_COCO_TRAIN = {'instances_train2017.json': 117266}
# a larger file takes too long to read for one number
_LARGEST = 200 * 2**20


def with_speed(blocks: dict, base: Config, images: Optional[int]) -> dict:
    """What a recipe writes, with the multiplier and the schedule that a temperature needs.

    The shipped multiplier is for SGD, whose steps are as large as the gradient.
    Where the length of the training is not known, it stays, and the training
    says what to take.

    Args:
        blocks (dict): What the recipe changes.
        base (Config): The student's config.
        images (int, optional): Of the training; None for the student's own.
    """
    keys = blocks.get('optim_wrapper', {}).get('paramwise_cfg', {}).get('custom_keys', {})
    final = merged(base.to_dict(), blocks)
    optimizer = final.get('optim_wrapper', {}).get('optimizer', {})
    kind = registered_class(OPTIMIZERS, optimizer['type']) if 'type' in optimizer else None
    multiplied = [key for key, value in keys.items() if 'lr_mult' in value]
    if kind is None or not multiplied or not isinstance(optimizer.get('lr'), float):
        return blocks
    blocks = {**blocks, **_relative_floors(final, base, optimizer['lr'])}
    if not is_adaptive(dict(inspect.signature(kind).parameters)):
        return blocks
    steps = _steps(final, images or _images_of(final))
    if not steps:
        return blocks
    changes = {key: dict(lr_mult=lr_mult_for(optimizer['lr'], steps)) for key in multiplied}
    return merged(blocks, dict(optim_wrapper=dict(paramwise_cfg=dict(custom_keys=changes))))


def _relative_floors(final: dict, base: Config, lr: float) -> dict:
    """Schedules whose smallest rate is a part of each parameter's own.

    One absolute ``eta_min`` can lie above the small rate of a temperature, and
    would raise it, or keep it from falling. For a student whose parameters all
    have the rate ``lr`` the two say the same.
    """
    found = schedulers(final)
    own = (base.get('optim_wrapper') or {}).get('paramwise_cfg') or {}
    if 'lr_mult' in str(own) or not any(map(_has_floor, found)):
        return {}
    return dict(param_scheduler=[
        {**{key: value for key, value in one.items() if key != 'eta_min'},
         'eta_min_ratio': one['eta_min'] / lr} if _has_floor(one) else one
        for one in without_scope(found, 'mmdet')])


def _has_floor(scheduler: dict) -> bool:
    return type_name(scheduler).startswith('Cosine') and bool(scheduler.get('eta_min'))


def _steps(cfg: dict, images: Optional[int]) -> Optional[int]:
    loop, batch = cfg.get('train_cfg') or {}, cfg['train_dataloader'].get('batch_size', 1)
    if 'max_iters' in loop:
        return loop['max_iters']
    if images and 'max_epochs' in loop:
        times = math.prod(one.get('times', 1) for one in nested_datasets(
            cfg['train_dataloader'].get('dataset')))
        gathered = cfg['optim_wrapper'].get('accumulative_counts', 1)
        return max(loop['max_epochs'] * math.ceil(images * times / batch) // gathered, 1)
    return None


def _images_of(cfg: dict) -> Optional[int]:
    """How many images the config's own data set has, if that is quickly told."""
    dataset: Any = nested_datasets(cfg['train_dataloader'].get('dataset'))[-1:]
    if not dataset or not isinstance(dataset[0].get('ann_file'), str):
        return None
    path = Path(dataset[0].get('data_root') or '') / dataset[0]['ann_file']
    if path.name in _COCO_TRAIN:
        return _COCO_TRAIN[path.name]
    if path.suffix != '.json' or not path.is_file() or path.stat().st_size > _LARGEST:
        return None
    content = json.loads(path.read_text(encoding='utf-8'))
    return len(content['images']) if 'images' in content else None
