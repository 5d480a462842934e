"""Dense heads: where their logits come from, what locations are assigned, how two heads differ."""
from typing import Tuple, Type

from .assigners import AlignedReader, DDODReader, PAAReader, TOODReader, VFNetReader
from .locations import by_level, flat
from .objectness import AutoAssignReader, YOLOXReader
from .reader import DenseReader, Targets, has_methods_of, labels_and_weights

# the first that knows a head reads it
READERS: Tuple[Type[DenseReader], ...] = (
    DenseReader, AlignedReader, TOODReader, DDODReader, VFNetReader, PAAReader, YOLOXReader,
    AutoAssignReader)

__all__ = ['READERS', 'DenseReader', 'Targets', 'by_level', 'flat', 'has_methods_of',
           'labels_and_weights']
