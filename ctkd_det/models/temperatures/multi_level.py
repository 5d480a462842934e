"""Several fixed temperatures in one loss."""
from typing import List, Sequence

import torch
from mmdet.registry import MODELS
from torch import Tensor

from .base import BaseTemperature
from .bounds import check_temperature


@MODELS.register_module()
class MultiLevelTemperature(BaseTemperature):
    """Several constant temperatures, at each of which the loss is computed.

    The loss is the mean of ``tau ** tau_power`` times the divergence over the
    temperatures. In a loss, ``temperature=[1, 2, 4]`` stands for it. Source:
    the instance-level alignment of "Multi-Level Logit Distillation" (CVPR
    2023), whose published code sums over the temperatures 2, 3, 4, 5 and 6:
    that is five times this mean. Its augmentation of the images, its masks
    and its other two levels (of batch and class) are not here.

    Args:
        values (Sequence[float]): The temperatures, greater than 0.

    Raises:
        ValueError: if there are none, or one is not a number above 0 and at
            most 1e6.

    Example:
        >>> temperature = MultiLevelTemperature([1.0, 2.0, 4.0])
        >>> temperature(None, None, None)  # whatever the logits are
        [tensor([1.]), tensor([2.]), tensor([4.])]
    """

    def __init__(self, values: Sequence[float]) -> None:
        super().__init__()
        if not values:
            raise ValueError('temperature=[] has no temperatures; give one or more, as [1, 2, 4]')
        for value in values:
            check_temperature('a temperature', value)
        # a buffer, so that it follows the model's device; not part of checkpoints
        self.register_buffer('values', torch.tensor([float(v) for v in values]), persistent=False)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor,
                labels: Tensor) -> List[Tensor]:
        """Return one tau of shape (1,) for each level."""
        return list(self.values.float().split(1))

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f'values={self.values.tolist()}'
