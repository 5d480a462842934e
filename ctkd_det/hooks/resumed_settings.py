"""Warns of settings that a resume takes from the checkpoint, whatever the config says."""
from typing import Any, Dict, Iterator

from mmengine.runner import Runner

from .resumable import param_groups
from .saved_values import without_functions

# how far a schedule has come, not how it was set
_PROGRESS = ('last_step', '_global_step', '_last_value', 'verbose', 'best', 'num_bad_epochs',
             'cooldown_counter')
_OPTIMIZER = ('lr', 'momentum', 'weight_decay', 'betas')


def warn_of_other_settings(runner: Runner, checkpoint: dict) -> None:
    """Warn of learning rates, schedules and the like that the config has in vain.

    Args:
        runner (Runner): Which resumes, with optimizer and schedulers as configured.
        checkpoint (dict): As loaded.
    """
    changes = [*_of_schedules(runner, checkpoint), *_of_optimizer(runner, checkpoint)]
    if changes:
        runner.logger.warning(
            '--resume goes on with the settings of the checkpoint, not with those of the config: '
            f'{"; ".join(changes)}. To train with those of the config, begin a new training with '
            'load_from')


def _of_schedules(runner: Runner, checkpoint: dict) -> Iterator[str]:
    new, old = getattr(runner, 'param_schedulers', None), checkpoint.get('param_schedulers')
    if not isinstance(new, list) or not isinstance(old, list):
        return
    if len(new) != len(old):
        yield f'{len(old)} schedules instead of {len(new)}'
    for scheduler, state in zip(new, old, strict=False):
        name = type(scheduler).__name__
        configured = without_functions(scheduler.state_dict())
        if configured.keys() != state.keys():
            yield f'another schedule than {name}'
            continue
        for key, value in configured.items():
            if key not in _PROGRESS and _plain(value) != _plain(state[key]):
                yield f'{name}: {key} = {_plain(state[key])} instead of {_plain(value)}'


def _of_optimizer(runner: Runner, checkpoint: dict) -> Iterator[str]:
    old, new = param_groups(runner, checkpoint)
    if old is None or new is None or len(old) != len(new):
        return
    schedulers = getattr(runner, 'param_schedulers', None)
    moved = {s.param_name for s in schedulers} if isinstance(schedulers, list) else set()
    if 'momentum' in moved:  # which is the first of Adam's betas
        moved.add('betas')
    said: Dict[str, Any] = {}
    for before, after in zip(old, new, strict=True):
        for key in _OPTIMIZER:
            # a schedule has moved the value itself
            first = f'initial_{key}'
            if key in moved and not (first in before and first in after):
                continue
            values = [group.get(first, group.get(key)) for group in (before, after)]
            if None not in values and _plain(values[0]) != _plain(values[1]):
                said.setdefault(key, values)
    for key, (before, after) in said.items():
        yield f'{key} = {before} instead of {after}'


def _plain(value: Any) -> Any:
    """Sequences, counters and numbers so that they compare and print alike."""
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, (list, tuple)):
        return value[0] if value and all(v == value[0] for v in value) else list(value)
    return value
