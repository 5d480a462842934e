"""Decoupled knowledge distillation."""
from typing import Union

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..distill_loss import at_least_zero
from .base import LogitLoss


@MODELS.register_module()
class DKDLoss(LogitLoss):
    r"""DKD: the target class and the others are distilled apart.

    .. math::
        L_i = \tau_i^2 (\alpha \, KL(b^t \| b^s) + \beta \, KL(\hat p^t \| \hat p^s))

    where b = (p_y, 1 - p_y) says whether it is the ground-truth class y
    (background among them), and :math:`\hat p` is the distribution over the
    other classes. With beta replaced by each RoI's :math:`1 - p^t_y` it would
    be KD. All in log space: no logarithm of a softmax is taken.

    Source: "Decoupled Knowledge Distillation" (CVPR 2022), eq. 5 and 7; the
    defaults are its values for detection.

    Args:
        temperature (float | dict): See :class:`LogitLoss`.
        alpha (float): Weight of the target class. Defaults to 1.
        beta (float): Weight of the others. Defaults to 0.25.
        **kwargs: See :class:`LogitLoss`.

    Example:
        >>> loss = DKDLoss(temperature=1.0, alpha=0.0, beta=1.0)  # the other classes alone
        >>> student, teacher = torch.tensor([[5., 1., 0.]]), torch.tensor([[2., 1., 0.]])
        >>> loss(student, teacher, labels=torch.tensor([0]))  # which of them agrees
        tensor(0.)
    """

    def __init__(self,
                 temperature: Union[float, dict],
                 alpha: float = 1.0,
                 beta: float = 0.25,
                 **kwargs) -> None:
        super().__init__(temperature, **kwargs)
        self.alpha, self.beta = at_least_zero('alpha', alpha), at_least_zero('beta', beta)

    def divergence(self, s: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """Target class and the others, weighted, (N,)."""
        target = F.one_hot(labels, s.size(1)).bool()
        (b_s, others_s), (b_t, others_t) = (_decouple(z, target) for z in (s, t))
        tckd = F.kl_div(b_s, b_t, reduction='none', log_target=True).sum(1)
        nckd = F.kl_div(others_s, others_t, reduction='none', log_target=True).sum(1)
        return self.alpha * tckd + self.beta * nckd


def _decouple(z: Tensor, target: Tensor) -> tuple:
    """log (p_y, 1 - p_y), (N, 2), and log of the others' distribution, 0 at the target."""
    others = z.masked_fill(target, -torch.inf)
    log_sum, log_sum_others = z.logsumexp(1), others.logsumexp(1)
    log_target = (z * target).sum(1) - log_sum
    binary = torch.stack([log_target, log_sum_others - log_sum], 1)
    return binary, (others - log_sum_others[:, None]).masked_fill(target, 0)
