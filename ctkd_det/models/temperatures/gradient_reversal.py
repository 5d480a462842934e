"""The gradient reversal layer: the one place with a minus sign."""
import math
import warnings
from typing import Any, Tuple

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn


class _ReverseGradient(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, x: Tensor, lambda_: float) -> Tensor:
        ctx.lambda_ = lambda_
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tuple[Tensor, None]:
        return -ctx.lambda_ * grad, None


@MODELS.register_module()
class GradientReversal(nn.Module):
    r"""Identity whose gradient is multiplied by :math:`-\lambda`.

    A parameter behind this layer *maximises* what the rest of the network
    minimises. Source: "Unsupervised Domain Adaptation by Backpropagation"
    (ICML 2015), used by CTKD (AAAI 2023) for the temperature, eq. 5.

    Args:
        lambda_ (float): Strength of the adversary, at least 0.
            :class:`~ctkd_det.hooks.CurriculumHook` sets it in every
            iteration. Defaults to 0, which stops the gradient.

    Raises:
        ValueError: if ``lambda_`` is negative or not finite, now or later.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> GradientReversal(lambda_=0.5)(x).sum().backward()
        >>> x.grad
        tensor([-0.5000, -0.5000])
    """

    def __init__(self, lambda_: float = 0.0) -> None:
        super().__init__()
        self.lambda_ = lambda_
        # stays False when the configuration forgot the CurriculumHook
        self._driven = lambda_ > 0

    @property
    def lambda_(self) -> float:
        """float: Strength of the adversary."""
        return self._lambda

    @lambda_.setter
    def lambda_(self, value: float) -> None:
        value = float(value)
        if not math.isfinite(value) or value < 0:
            raise ValueError(f'lambda_ must be a finite number >= 0, got {value}: the '
                             'layer itself supplies the minus sign')
        self._lambda = value
        self._driven = True

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` of any shape; its gradient comes back reversed."""
        if self.training and torch.is_grad_enabled() and not self._driven:
            warnings.warn(
                'lambda_ was never set, so this temperature will not move. Add '
                "custom_hooks=[dict(type='CurriculumHook', end=...)] to the config.",
                stacklevel=2)
            self._driven = True
        return _ReverseGradient.apply(x, self.lambda_)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f'lambda_={self.lambda_}'
