"""Variational information distillation."""
import math
from typing import Any, Optional

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn

from .adapters import need_widths, pointwise
from .base import SourcedLoss


@MODELS.register_module()
class VIDLoss(SourcedLoss):
    r"""VID: likelihood of the teacher's features under a learned Gaussian.

    .. math::
        L = \sum_l \mathrm{mean}\, \tfrac12 \left( \frac{(t_c - \mu_c(s))^2}{\sigma_c^2} +
        \log \sigma_c^2 \right), \quad \sigma_c^2 = \mathrm{softplus}(\alpha_c) + \epsilon

    mean(all), a sum over levels. The adapter mu is three 1x1 convolutions
    without bias, with ReLU between them, at the teacher's width. The loss begins
    at 1/2 log 5 = 0.8 a level even where mu is perfect, and **may become
    negative**. Source:
    "Variational Information Distillation for Knowledge Transfer" (CVPR 2019),
    eq. 5 and 6. Published weight: 1, on CIFAR; none with a detector.

    The variances are trained and should not decay: ``custom_keys={
    '.raw_variances': dict(decay_mult=0)}`` in the optimizer's
    ``paramwise_cfg``, as the shipped recipe has it.

    Args:
        init_variance (float): Of every channel at the start. Defaults to 5.
        eps (float): The least variance. Defaults to 1e-5.
        source (str): 'neck', or 'roi' for (N, D). Defaults to 'neck'.
        **kwargs: See :class:`FeatureLoss`.
    """

    def __init__(self, *args: Any, init_variance: float = 5.0, eps: float = 1e-5,
                 **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not 0 < eps < init_variance < math.inf:
            raise ValueError('VIDLoss: need 0 < eps < init_variance, a finite number, got '
                             f'eps={eps}, init_variance={init_variance}')
        self.eps = eps
        # inverse of softplus, without an overflow at large variances
        start = init_variance - eps
        raw = start + math.log(-math.expm1(-start))
        self.raw_variances = nn.ParameterList(
            nn.Parameter(torch.full((teacher, ), raw)) for _, teacher in self.widths)

    def build_adapter(self, student: Optional[int], teacher: Optional[int]) -> nn.Module:
        """Three 1x1 convolutions with ReLU between them."""
        need_widths(student, teacher)
        widths = (student, teacher), (teacher, teacher), (teacher, teacher)
        first, second, third = (pointwise(a, b, self.source, bias=False) for a, b in widths)
        return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)

    def compare(self, i: int, s: Tensor, t: Tensor) -> Tensor:
        """The loss of a level or stage, see the class."""
        variance = F.softplus(self.raw_variances[i].to(t.dtype)) + self.eps
        variance = variance.view(-1, *[1] * (t.dim() - 2))
        square = (t - self.adapt(i, s)).square()
        return self.mean((square / variance + variance.log()) / 2)
