"""Similarities between the RoIs of a batch, whose widths need not agree."""
from typing import Any

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..distill_loss import above_zero
from .base import FeatureLoss
from .reductions import mean_over_rois


class RelationLoss(FeatureLoss):
    """Base of the losses between two (N, N) matrices of RoIs: no adapter, no levels."""
    source = 'roi'
    needs = ('stage', )
    any_width = True


@MODELS.register_module()
class SPLoss(RelationLoss):
    r"""SP: the student keeps which RoIs the teacher finds similar.

    .. math::
        G = Q Q^T, \quad L = \frac{1}{N^2} \| \hat G_t - \hat G_s \|_F^2

    where the rows of :math:`\hat G` have length 1, and Q is (N, D). The value
    is at most 4 / N, so a weight belongs to a number of samples: the published
    3000 was for 64 images on CIFAR; 1024 RoIs need 16 times as much for the
    same size. None is published with a detector. Source: "Similarity-Preserving
    Knowledge Distillation" (ICCV 2019), eq. 1 to 4. Arguments: see
    :class:`FeatureLoss`; the widths are not needed.
    """

    def compare(self, i: int, s: Tensor, t: Tensor) -> Tensor:
        """The loss of a level or stage, see the class."""
        g_s, g_t = (F.normalize(x @ x.t(), dim=1) for x in (s, t))
        return mean_over_rois((g_s - g_t).square())


@MODELS.register_module()
class PKTLoss(RelationLoss):
    r"""PKT: the distribution of similarities around each RoI.

    .. math::
        K_{ij} = (\cos(x_i, x_j) + 1) / 2, \quad p_{ij} = K_{ij} / \sum_k K_{ik}, \quad
        L = \mathrm{mean}_{ij}\, p^t_{ij} \log \frac{p^t_{ij} + \epsilon}{p^s_{ij} + \epsilon}

    The mean is over all N^2 pairs, an RoI with itself among them, so the value
    falls with N: the published weight 30000 was for 64 images on CIFAR, where
    it is 469 times the mean divergence of a row, and with 1024 RoIs it is 29
    times. None is published with a detector. Source: "Learning Deep
    Representations with Probabilistic Knowledge Transfer" (ECCV 2018), in the
    form of its authors' code.

    Args:
        eps (float): Added to lengths and inside the logarithm. Defaults to 1e-7.
        **kwargs: See :class:`FeatureLoss`; the widths are not needed.
    """

    def __init__(self, *args: Any, eps: float = 1e-7, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.eps = above_zero('PKTLoss: eps', eps)

    def compare(self, i: int, s: Tensor, t: Tensor) -> Tensor:
        """The loss of a level or stage, see the class."""
        p_s, p_t = self._probabilities(s), self._probabilities(t)
        return mean_over_rois(p_t * ((p_t + self.eps) / (p_s + self.eps)).log())

    def _probabilities(self, x: Tensor) -> Tensor:
        x = x / (x.norm(dim=1, keepdim=True) + self.eps)
        similarity = (x @ x.t() + 1) / 2
        return similarity / similarity.sum(1, keepdim=True)
