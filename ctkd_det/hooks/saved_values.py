"""Values as a checkpoint may hold them, in place of those that a training has."""
from collections import OrderedDict
from typing import Any

from mmengine.config import ConfigDict


def leave_values_only(checkpoint: dict) -> None:
    """Take what no file should hold out of a checkpoint that is about to be written."""
    checkpoint.update({name: plain_dicts(checkpoint[name])
                       for name in ('meta', 'message_hub') if name in checkpoint})
    schedules = checkpoint.get('param_schedulers')
    if isinstance(schedules, list):  # OneCycleLR's state has a function
        schedules[:] = map(without_functions, schedules)


def without_functions(state: dict) -> dict:
    """The state of a schedule that a checkpoint can hold; a resume keeps the config's functions."""
    return {key: value for key, value in state.items() if not callable(value)}


def plain_dicts(value: Any) -> Any:
    """A copy with dictionaries in place of mmengine's ``ConfigDict``, which no reader should need.

    A data set's nested ``metainfo`` comes from the config, and the Runner saves it.
    """
    if isinstance(value, ConfigDict):
        return {key: plain_dicts(item) for key, item in value.items()}
    if type(value) in (dict, OrderedDict):
        return type(value)((key, plain_dicts(item)) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value)(map(plain_dicts, value))
    return value
