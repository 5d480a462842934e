from .base import BaseTemperature
from .fixed import FixedTemperature
from .global_ import GlobalTemperature
from .gradient_reversal import GradientReversal

__all__ = ['BaseTemperature', 'FixedTemperature', 'GlobalTemperature', 'GradientReversal']
