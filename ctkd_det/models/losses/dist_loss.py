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
        return loss * tau.reshape(-1)**2


def _decorrelation(a: Tensor, b: Tensor) -> Tensor:
    """1 - Pearson's correlation of the rows of two matrices, 0 where it is undefined."""
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    square_a, square_b = a.square().sum(1), b.square().sum(1)
    defined = (square_a > 0) & (square_b > 0)
    # ones where undefined: their gradient must stay finite although it is not used
    norm = (square_a.where(defined, 1) * square_b.where(defined, 1)).sqrt()
    # the smallest normal number, for squares whose product underflows
    correlation = (a * b).sum(1) / norm.clamp(min=1e-30)
    return (1 - correlation).where(defined, 0)
