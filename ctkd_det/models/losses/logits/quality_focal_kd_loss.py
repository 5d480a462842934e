"""CrossKD's loss between classifications."""
import math

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from .binary_kd_loss import BinaryKDLoss


@MODELS.register_module()
class QualityFocalKDLoss(BinaryKDLoss):
    r"""The quality focal loss, with the teacher's probability as the quality of each class.

    .. math::
        L_i = \tau_i^2 \sum_c |q_{ic} - p_{ic}|^\beta
              \left(-q_{ic} \log p_{ic} - (1 - q_{ic}) \log(1 - p_{ic})\right),
        \quad p = \sigma(s / \tau), \ q = \sigma(t / \tau)

    For heads with ``use_sigmoid=True``, as :class:`BinaryKDLoss` is. Sources:
    "Generalized Focal Loss" (NeurIPS 2020), eq. 2; that a teacher gives the
    quality is from "CrossKD: Cross-Head Knowledge Distillation for Object
    Detection" (CVPR 2024), with :math:`\beta = 1` and :math:`\tau = 1`.

    Args:
        temperature (float | dict | ...): See :class:`LogitLoss`. Defaults to 1.
        beta (float): How much less a class counts the nearer both sides are,
            at least 1. Defaults to 1.
        **kwargs: Further arguments of :class:`LogitLoss`.

    Raises:
        ValueError: if ``beta`` is below 1: the gradient is infinite where both
            sides agree.

    Example:
        >>> loss = QualityFocalKDLoss()  # two classes, one location
        >>> student, teacher = torch.tensor([[2., 0.]]), torch.tensor([[4., 0.]])
        >>> loss(student, teacher, labels=torch.tensor([0]))
        tensor(0.0165)
    """

    def __init__(self, temperature=1.0, beta: float = 1.0, **kwargs) -> None:
        super().__init__(temperature, **kwargs)
        if not 1 <= beta < math.inf:
            raise ValueError(f'beta must be a finite number >= 1, got {beta}')
        self.beta = beta

    def divergence(self, s: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """Sum of the quality focal losses of C classes, (N,)."""
        q = t.sigmoid()
        loss = F.binary_cross_entropy_with_logits(s, q, reduction='none')
        return (loss * (s.sigmoid() - q).abs()**self.beta).sum(1)
