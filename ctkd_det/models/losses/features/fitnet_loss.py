"""Hints: the student's features regress the teacher's."""
from mmdet.registry import MODELS
from torch import Tensor

from .base import SourcedLoss


@MODELS.register_module()
class FitNetLoss(SourcedLoss):
    r"""FitNet: squared difference of the features.

    .. math::
        L = \sum_l \mathrm{mean}(r_l(s_l) - t_l)^2

    mean(all) over images, channels and positions; a sum over the levels. r is
    a linear map where the widths differ. Source: "FitNets: Hints for Thin Deep
    Nets" (ICLR 2015), eq. 3, with a mean in place of half the sum, as its
    public implementations have it; those use a weight of 100 on CIFAR and none
    is published with a detector. The paper's two stages are ``window=dict(
    end=k)`` here and ``begin=k`` in a logit loss beside it.

    Args:
        source (str): 'neck', or 'roi' for (N, D). Defaults to 'neck'.
        **kwargs: See :class:`FeatureLoss`.
    """

    def compare(self, i: int, s: Tensor, t: Tensor) -> Tensor:
        """The loss of a level or stage, see the class."""
        return self.mean((self.adapt(i, s) - t).square())
