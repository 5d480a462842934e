"""Curves from 0 to 1 over a progress from 0 to 1."""
import math
from typing import Callable, Dict

CURVES: Dict[str, Callable[[float], float]] = {
    # CTKD (AAAI 2023), eq. 6: slow at both ends
    'cosine': lambda progress: (1 - math.cos(math.pi * progress)) / 2,
    'linear': lambda progress: progress,
    'constant': lambda progress: 1.0,
}
