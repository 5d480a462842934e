"""One learned temperature for each RoI."""
from typing import Optional

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn

from .learned import LearnedTemperature


@MODELS.register_module()
class InstanceTemperature(LearnedTemperature):
    """The instance-wise temperature of CTKD (AAAI 2023), section 3.3.

    A two-layer perceptron looks at the logits of student and teacher, through
    which no gradient flows, and gives every RoI its own tau. Its output layer
    starts at zero weights, so every RoI starts at ``initial_temperature``.

    Without BatchNorm: three quarters of the RoIs are background, whose
    statistics would be everyone's. Instead each RoI's logits are brought to
    mean 0 and deviation 1 together, which keeps how confident student and
    teacher are relative to each other.

    Args:
        num_classes (int, optional): C, without the background.
        hidden_channels (int): Width of the hidden layer. Defaults to 64.
        tau_min (float): Lower bound of tau. Defaults to 0.5; the paper has 1.
        tau_range (float): Width of the interval. Defaults to 1.5; the paper
            has 20.
        initial_temperature (float, optional): Initial tau of every RoI.
            Defaults to None, 1 where the bounds allow, otherwise the middle.
        use_sigmoid (bool): Whether the logits are those of a head with
            ``use_sigmoid=True``, (N, C). Defaults to False.
        num_logits (int, optional): Logits in a row, instead of
            ``num_classes`` where they are not of classes: the bins of a box
            distribution, see :class:`LDLoss`.

    Raises:
        ValueError: if a bound is not above 0, ``initial_temperature`` is
            outside the bounds, or not one of ``num_classes`` and
            ``num_logits`` is given; in ``forward``, if there are more or fewer
            logits in a row. A detector refuses another ``num_classes`` than
            its own.

    Example:
        >>> temperature = InstanceTemperature(num_classes=2)
        >>> student, teacher = torch.rand(5, 3), torch.rand(5, 3)  # five RoIs
        >>> temperature(student, teacher, labels=None).shape
        torch.Size([5, 1])
    """

    def __init__(self,
                 num_classes: Optional[int] = None,
                 hidden_channels: int = 64,
                 tau_min: float = 0.5,
                 tau_range: float = 1.5,
                 initial_temperature: Optional[float] = None,
                 use_sigmoid: bool = False,
                 num_logits: Optional[int] = None) -> None:
        super().__init__(tau_min, tau_range)
        if (num_classes is None) == (num_logits is None):
            raise ValueError('InstanceTemperature needs num_classes, or num_logits where the '
                             'logits are not of classes')
        self.num_classes = num_classes
        if num_logits is None:
            num_logits = num_classes + (not use_sigmoid)
        self.hidden = nn.Linear(2 * num_logits, hidden_channels)
        self.out = nn.Linear(hidden_channels, 1)
        nn.init.zeros_(self.out.weight)
        init = self.bounds.initial_theta(initial_temperature, otherwise=0.0)
        nn.init.constant_(self.out.bias, init)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor,
                labels: Tensor) -> Tensor:
        """Return tau, shape (N, 1)."""
        width, expected = student_logits.size(1), self.hidden.in_features // 2
        if width != expected:
            raise ValueError(
                f'InstanceTemperature is for {expected} logits in a row, but there are {width}. '
                "Give it the student's num_classes, with use_sigmoid=True if its head has that; or "
                f'num_logits={width} where logits are not of classes, but of bins or pixels')
        logits = torch.cat([student_logits, teacher_logits], dim=1).detach()
        logits = F.layer_norm(logits, logits.shape[1:]).to(self.out.weight.dtype)
        return self.tau(self.out(F.relu(self.hidden(logits))))
