"""What every distillation loss has, whatever it compares."""
import math
from typing import Dict, Optional, Tuple

from torch import Tensor, nn

from .window import Window


class DistillLoss(nn.Module):
    """Base of all distillation losses: a weight, and a window in which it is active.

    Args:
        loss_weight (float): Factor of the whole loss, at least 0. With 0 the
            loss is inactive: it costs nothing. Defaults to 1.
        window (dict, optional): When the loss is active, the arguments of
            :class:`Window`. Defaults to None, always.

    Raises:
        ValueError: if the weight is out of its range.

    Attributes:
        source (str): What is compared: 'logits'; the maps of the 'neck';
            'roi', the features that a two-stage detector classifies; 'boxes'
            in pixels, or 'all_boxes'; the 'distributions' of boxes, or those of the
            valuable region, 'vlr'; or 'masks'.
        rotated (bool): Whether it is compared on images that are rotated by
            chance, or on both these and the plain ones; such a loss draws the
            rotation from its ``draws``.
        needs (tuple[str]): What ``forward`` takes by name beside the two
            sides, for a detector to provide.
    """
    source = 'logits'
    rotated = False
    needs: Tuple[str, ...] = ()

    def __init__(self, loss_weight: float = 1.0, window: Optional[dict] = None) -> None:
        super().__init__()
        self.loss_weight = at_least_zero('loss_weight', loss_weight)
        self.window = Window(**(window or {}))
        # scalars for the log, from the latest forward
        self.statistics: Dict[str, Tensor] = {}

    @property
    def factor(self) -> float:
        """float: What the loss is multiplied by at present."""
        return self.loss_weight * self.window.factor

    @property
    def active(self) -> bool:
        """bool: Whether the loss contributes anything at present."""
        return self.factor > 0

    @property
    def side(self) -> str:
        """str: What a detector calls the two sides that it compares."""
        return f'rotated_{self.source}' if self.rotated else self.source


def above_zero(name: str, value: float) -> float:
    """``value`` itself.

    Raises:
        ValueError: if it is not above 0, or not finite.
    """
    if not 0 < value < math.inf:  # False for NaN
        raise ValueError(f'{name} must be a finite number > 0, got {value}')
    return value


def at_least_zero(name: str, value: float) -> float:
    """``value`` itself.

    Raises:
        ValueError: if it is negative or not finite.
    """
    if not math.isfinite(value) or value < 0:
        raise ValueError(f'{name} must be a finite number >= 0, got {value}')
    return value
