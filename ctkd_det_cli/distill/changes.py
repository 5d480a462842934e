"""The settings that people change most, as overrides of the student's config."""
import itertools
import math
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

import click

from ctkd_det.configs import without_scope
from ..training.advice import schedulers
from .image_size import resized
from .overrides import merged

SEED = 0
# settings of hooks that count epochs: YOLOX's and RTMDet's hooks end the mosaic
# augmentation; EMAHook begins at one
HOOK_EPOCHS = ('switch_epoch', 'num_last_epochs', 'begin_epoch')
# learning rates, not parts of one
RATES = ('eta_min', 'eta_max')


@dataclass(frozen=True)
class Changes:
    """What a command line changes in the student's training.

    Attributes:
        epochs: How many to train; schedules are stretched to it.
        batch_size: Images in a step on one device.
        lr: Learning rate, for a step on one device.
        img_scale: Width and height that images are resized to fit into.
        seed: Of initial weights and image order; None for the config's, or 0.
    """
    epochs: Optional[int] = None
    batch_size: Optional[int] = None
    lr: Optional[float] = None
    img_scale: Optional[Tuple[int, int]] = None
    seed: Optional[int] = None

    def blocks(self, base: Any) -> Dict[str, Any]:
        """What to write into a config that inherits from ``base``.

        Raises:
            click.ClickException: if the base has nothing of the kind to
                change; the message names the option.
        """
        blocks: Dict[str, Any] = {}
        if self.epochs:
            blocks.update(stretched(base, self.epochs))
        if self.batch_size:
            blocks['train_dataloader'] = dict(batch_size=self.batch_size)
        if self.lr:
            if 'lr' not in base.get('optim_wrapper', {}).get('optimizer', {}):
                raise click.ClickException("--lr: the student's config has no "
                                           'optim_wrapper.optimizer.lr')
            blocks['optim_wrapper'] = dict(optimizer=dict(lr=self.lr))
            batch = self.batch_size or base.train_dataloader.get('batch_size', 1)  # torch's default
            blocks['auto_scale_lr'] = dict(base_batch_size=batch)
            if 'enable' not in (base.get('auto_scale_lr') or {}):
                blocks['auto_scale_lr']['enable'] = False
            factor = self.lr / base.optim_wrapper.optimizer.lr
            found = blocks.get('param_scheduler') or schedulers(base)
            if any(scheduler.get(key) for scheduler in found for key in RATES):
                blocks['param_scheduler'] = [_scaled_rates(one, factor) for one in found]
        if self.img_scale:
            blocks = merged(blocks, resized(base, self.img_scale))
        # a run without a seed cannot be compared with another one
        if self.seed is not None or (base.get('randomness') or {}).get('seed') is None:
            blocks['randomness'] = dict(seed=SEED if self.seed is None else self.seed)
        return blocks

    def hooks(self, base: Any) -> List[dict]:
        """The base's custom hooks, whose epochs keep their place in the training."""
        hooks = list(base.get('custom_hooks') or [])
        old = base.get('train_cfg', {}).get('max_epochs')
        if not self.epochs or not old or self.epochs == old:
            return hooks
        # epochs count from 0: a later one than the last would never come
        return [{**hook, **{key: min(_at(hook[key], old, self.epochs), self.epochs - 1)
                            for key in HOOK_EPOCHS if hook.get(key)}} for hook in hooks]


def stretched(base: Any, epochs: int) -> Dict[str, Any]:
    """A schedule of another length, with its steps at the same fractions of it.

    So are the epochs at which validation begins, and at which its interval
    changes; the interval itself stays, if the training is that long. A warm-up
    that is counted in iterations keeps its length.

    Raises:
        click.ClickException: if the training counts iterations.
    """
    old = base.get('train_cfg', {}).get('max_epochs')
    if not old:
        raise click.ClickException('--epochs: the student trains by iterations: --cfg-options '
                                   'train_cfg.max_iters=N')
    train_cfg = dict(max_epochs=epochs)
    # MMEngine validates after the last epoch, whatever the interval is, but not before val_begin
    if base.train_cfg.get('val_interval', 1) > epochs:
        train_cfg['val_interval'] = epochs
    if epochs != old and base.train_cfg.get('val_begin', 1) > 1:
        train_cfg['val_begin'] = _at(base.train_cfg.val_begin, old, epochs)
    if epochs != old and base.train_cfg.get('dynamic_intervals'):
        train_cfg['dynamic_intervals'] = [
            (_at(begin, old, epochs), min(interval, epochs))
            for begin, interval in base.train_cfg.dynamic_intervals]
    found = schedulers(base)
    blocks: Dict[str, Any] = dict(train_cfg=train_cfg)
    if found and epochs != old:
        stretches = [_stretch(scheduler, old, epochs) for scheduler in found]
        # YOLOX's last 15 of 300 epochs are none of 5, and MMEngine refuses a part without length
        blocks['param_scheduler'] = [part for part in stretches if part.get('begin', 0) < part.get(
            'end', math.inf)]
    return blocks


def _stretch(scheduler: Any, old: int, new: int) -> dict:
    scheduler = without_scope(scheduler, 'mmdet')
    if not scheduler.get('by_epoch', True):
        return scheduler
    for key in ('begin', 'end', 'T_max', 'step_size', 'total_steps'):
        if key in scheduler:
            scheduler[key] = _at(scheduler[key], old, new) if scheduler[key] else 0
    if 'periods' in scheduler:  # of CosineRestartLR
        ends = [_at(end, old, new) for end in itertools.accumulate(scheduler['periods'])]
        scheduler['periods'] = [b - a for a, b in zip([0, *ends], ends, strict=False)]
    if 'milestones' in scheduler:
        steps = sorted({_at(step, old, new) for step in scheduler['milestones']})
        scheduler['milestones'] = [step for step in steps if step < new]
    return scheduler


def _scaled_rates(scheduler: Any, factor: float) -> dict:
    """Rates that a schedule states as such keep their share of the learning rate."""
    return {key: value * factor if key in RATES and value else value
            for key, value in without_scope(scheduler, 'mmdet').items()}


def _at(epoch: int, old: int, new: int) -> int:
    return max(1, round(epoch * new / old))
