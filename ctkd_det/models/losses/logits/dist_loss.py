"""Distillation of relations instead of values."""
from typing import Union

from mmdet.registry import MODELS
from torch import Tensor

from .base import LogitLoss


@MODELS.register_module()
class DISTLoss(LogitLoss):
    r"""DIST: one minus Pearson's correlation, along classes and along RoIs.

    .. math::
        L_i = \tau_i^2 (\beta \, (1 - \rho(p^s_{i \cdot}, p^t_{i \cdot})) + \gamma \,
        \mathrm{mean}_c (1 - \rho(p^s_{\cdot c}, p^t_{\cdot c})))

    The second term is the batch's and the same for each of its RoIs; it needs
    two RoIs. A row or column without variance has no correlation and counts
    as perfect. Source: "Knowledge Distillation from A Stronger Teacher"
    (NeurIPS 2022), eq. 7 to 10.

    Args:
        temperature (float | dict): See :class:`LogitLoss`.
        beta (float): Weight of the relation between classes. Defaults to 1.
        gamma (float): Weight of the relation within classes. Defaults to 1.
        **kwargs: See :class:`LogitLoss`.
    """

    def __init__(self,
                 temperature: Union[float, dict],
                 beta: float = 1.0,
                 gamma: float = 1.0,
                 **kwargs) -> None:
        super().__init__(temperature, **kwargs)
        self.beta, self.gamma = beta, gamma

    def divergence(self, s: Tensor, t: Tensor, labels: Tensor, tau: Tensor) -> Tensor:
        p_s, p_t = (s / tau).softmax(1), (t / tau).softmax(1)
        loss = self.beta * _decorrelation(p_s, p_t)
        if len(s) > 1:
            loss = loss + self.gamma * _decorrelation(p_s.t(), p_t.t()).mean()
        return loss


def _decorrelation(a: Tensor, b: Tensor) -> Tensor:
    """1 - Pearson's correlation of the rows of two matrices, 0 where it is undefined."""
    (a, a_varies), (b, b_varies) = _direction(a), _direction(b)
    return (1 - (a * b).sum(1)).where(a_varies & b_varies, 0)


def _direction(x: Tensor) -> tuple:
    """Rows without their mean, at length 1, and which of them vary at all.

    A row is brought to the scale of its largest entry first: the squares of
    probabilities below 1e-19 would be 0 in float32.
    """
    x = x - x.mean(1, keepdim=True)
    largest = x.detach().abs().amax(1, keepdim=True)
    varies = largest > 0
    x = x / largest.where(varies, 1)
    square = x.square().sum(1, keepdim=True).where(varies, 1)
    return x / square.sqrt(), varies.squeeze(1)
