from .base import BaseTemperature
from .fixed import FixedTemperature
from .global_ import GlobalTemperature
from .gradient_reversal import GradientReversal
from .group import GroupTemperature
from .instance import InstanceTemperature
from .learned import LearnedTemperature
from .scheduled import ScheduledTemperature

__all__ = [
    'BaseTemperature', 'FixedTemperature', 'GlobalTemperature', 'GradientReversal',
    'GroupTemperature', 'InstanceTemperature', 'LearnedTemperature', 'ScheduledTemperature'
]
