"""Each channel as a distribution over positions."""
from typing import Any

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..distill_loss import above_zero
from .base import FeatureLoss


@MODELS.register_module()
class CWDLoss(FeatureLoss):
    r"""CWD: Kullback-Leibler divergence of each channel, softened over its positions.

    .. math::
        L = \sum_l \frac{\tau^2}{B C} \sum_{b, c, i} \phi(t)_i \log
        \frac{\phi(t)_i}{\phi(s)_i}, \quad \phi(a)_i = \mathrm{softmax}_i(a_i / \tau)

    A sum over positions, a mean over images and channels, a sum over levels.
    Source: "Channel-wise Knowledge Distillation for Dense Prediction" (ICCV
    2021), eq. 2 to 4. Weights published with detectors: 10 for Faster R-CNN
    (MMRazor's config, without a result), 5 for RetinaNet, both with tau 1.

    Args:
        tau (float): Divides the features; it is not CTKD's temperature, which
            divides logits. Defaults to 1.
        **kwargs: See :class:`FeatureLoss`.
    """

    def __init__(self, *args: Any, tau: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tau = above_zero('CWDLoss: tau', tau)

    def compare(self, i: int, s: Tensor, t: Tensor) -> Tensor:
        """The loss of a level or stage, see the class."""
        log_s, log_t = (F.log_softmax(x.flatten(2) / self.tau, dim=2)
                        for x in (self.adapt(i, s), t))
        kl = F.kl_div(log_s, log_t, reduction='sum', log_target=True)
        return self.tau**2 * kl / max(t.size(0) * t.size(1), 1)
