"""What a loss's argument ``temperature`` stands for."""
from typing import List, Union

from torch import nn

from ..building import build_part
from .fixed import FixedTemperature
from .multi_level import MultiLevelTemperature


def build_temperature(temperature: Union[float, List[float], dict, nn.Module]) -> nn.Module:
    """A number becomes a :class:`FixedTemperature`, a dict is built, a module stays.

    A list of numbers becomes a :class:`MultiLevelTemperature`.

    Raises:
        ValueError, TypeError: see :func:`build_part` and these classes.
    """
    if isinstance(temperature, nn.Module):
        return temperature
    if isinstance(temperature, dict):
        return build_part(temperature, 'temperature')
    if isinstance(temperature, (list, tuple)):
        return MultiLevelTemperature(temperature)
    return FixedTemperature(temperature)
