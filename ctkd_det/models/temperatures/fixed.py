"""The temperature that does not move."""
import torch
from mmdet.registry import MODELS
from torch import Tensor

from .base import BaseTemperature
from .bounds import check_temperature


@MODELS.register_module()
class FixedTemperature(BaseTemperature):
    """A constant tau, as in "Distilling the Knowledge in a Neural Network" (2015).

    Args:
        value (float): The temperature, greater than 0.

    Raises:
        ValueError: if ``value`` is not a number above 0 and at most 1e6.

    Example:
        >>> FixedTemperature(2.0)(None, None, None)  # whatever the logits are
        tensor([2.])
    """

    def __init__(self, value: float) -> None:
        super().__init__()
        check_temperature('a temperature', value)
        # a buffer, so that it follows the model's device; not part of checkpoints
        self.register_buffer('value', torch.tensor([float(value)]), persistent=False)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor,
                labels: Tensor) -> Tensor:
        """Return tau, shape (1,)."""
        return self.value.float()

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f'value={self.value.item():g}'
