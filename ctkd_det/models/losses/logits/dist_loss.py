"""Distillation of relations instead of values."""
import math
from typing import Union

import torch
from mmdet.registry import MODELS
from torch import Tensor

from ..distill_loss import at_least_zero
from .base import LogitLoss


@MODELS.register_module()
class DISTLoss(LogitLoss):
    r"""DIST: one minus Pearson's correlation, along classes and along RoIs.

    .. math::
        L_i = \tau_i^2 (\beta \, (1 - \rho(p^s_{i \cdot}, p^t_{i \cdot})) + \gamma \,
        \mathrm{mean}_c (1 - \rho(p^s_{\cdot c}, p^t_{\cdot c})))

    The second term is the batch's and the same for each of its RoIs; it needs
    two RoIs. All RoIs are in it, also those whose weight is 0. A row or column
    without variance has no correlation and counts as perfect, and so does a
    class whose probabilities are all below the smallest normal number. Of two
    logits, those of one class and the background, the first term is 0 or 2
    whatever they are: the loss then takes ``beta=0`` only. Source:
    "Knowledge Distillation from A Stronger Teacher" (NeurIPS 2022), eq. 7 to 10.

    Args:
        temperature (float | dict): See :class:`LogitLoss`.
        beta (float): Weight of the relation between classes. Defaults to 1.
        gamma (float): Weight of the relation within classes. Defaults to 1.
        **kwargs: See :class:`LogitLoss`.

    Example:
        >>> loss = DISTLoss(temperature=1.0)
        >>> logits = torch.tensor([[2., 0., 1.], [0., 1., 2.]])
        >>> same = loss(logits, logits + 3, labels=torch.tensor([0, 2]))  # same probabilities
        >>> same < 1e-6
        tensor(True)
    """

    def __init__(self,
                 temperature: Union[float, dict],
                 beta: float = 1.0,
                 gamma: float = 1.0,
                 **kwargs) -> None:
        super().__init__(temperature, **kwargs)
        self.beta, self.gamma = at_least_zero('beta', beta), at_least_zero('gamma', gamma)

    def check_width(self, num_logits: int) -> None:
        """See :meth:`LogitLoss.check_width`; a constant would also drive a learned temperature."""
        super().check_width(num_logits)
        if self.beta > 0 and num_logits == 2:
            raise ValueError(
                f'DISTLoss: beta={self.beta} weights a correlation between classes. Of one class '
                'and the background that is 1 or -1, whatever the logits are, and teaches nothing. '
                'Set beta=0; gamma still teaches, across the RoIs')

    def divergence(self, s: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """One minus the correlation within each RoI, plus the batch's of each class, (N,)."""
        log_p_s, log_p_t = s.log_softmax(1), t.log_softmax(1)
        loss = self.beta * _decorrelation(log_p_s, log_p_t)
        if len(s) > 1:
            loss = loss + self.gamma * _decorrelation(log_p_s.t(), log_p_t.t()).mean()
        return loss


def _decorrelation(a: Tensor, b: Tensor) -> Tensor:
    """1 - Pearson's correlation of the rows of exp(a) and exp(b), 0 where it is undefined."""
    (a, a_varies), (b, b_varies) = _direction(a), _direction(b)
    return (1 - (a * b).sum(1)).where(a_varies & b_varies, 0)


def _direction(log_p: Tensor) -> tuple:
    """Rows of probabilities without their mean, at length 1, and which of them vary at all.

    Correlation does not depend on a row's scale, so each is brought to that of
    its largest entry, in log space: in float32 the squares of probabilities
    below 1e-19 would be 0, and the gradient through a division by one below
    the smallest normal number would be infinite.
    """
    top = log_p.detach().amax(1, keepdim=True)
    x = (log_p - top).exp()
    x = x - x.mean(1, keepdim=True)
    largest = x.detach().abs().amax(1, keepdim=True)
    varies = (largest > 0) & (top >= math.log(torch.finfo(x.dtype).tiny))
    x = x / largest.where(varies, 1)
    square = x.square().sum(1, keepdim=True).where(varies, 1)
    return x / square.sqrt(), varies.squeeze(1)
