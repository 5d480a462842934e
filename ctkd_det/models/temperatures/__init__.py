from .base import BaseTemperature
from .dtkd import DTKDTemperature
from .fixed import FixedTemperature
from .global_ import GlobalTemperature
from .gradient_reversal import GradientReversal
from .group import GroupTemperature
from .instance import InstanceTemperature
from .learned import LearnedTemperature
from .multi_level import MultiLevelTemperature
from .scheduled import ScheduledTemperature

__all__ = [
    'BaseTemperature', 'DTKDTemperature', 'FixedTemperature', 'GlobalTemperature',
    'GradientReversal', 'GroupTemperature', 'InstanceTemperature', 'LearnedTemperature',
    'MultiLevelTemperature', 'ScheduledTemperature'
]
