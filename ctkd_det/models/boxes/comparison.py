"""Which comparisons of boxes depend on the classes."""
from typing import Collection

from torch import nn


def compares_classes(sources: Collection[str], student: nn.Module) -> bool:
    """Whether student and teacher must have the same classes, or some that are mapped.

    Logits belong to classes, and so do masks; boxes everywhere are weighted by
    logits. So do the boxes of a two-stage detector: a regressor may have
    offsets for each class.
    """
    return bool({'logits', 'masks', 'all_boxes'} & set(sources)) or (
        'boxes' in sources and hasattr(student, 'roi_head'))
