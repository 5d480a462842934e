"""Hints: the student's features regress the teacher's."""
from typing import Any

from mmdet.registry import MODELS
from torch import Tensor

from .base import FeatureLoss
from .reductions import mean_all, mean_over_rois


class SourcedLoss(FeatureLoss):
    """Base of the losses that compare neck levels or RoI features, as ``source`` says.

    Raises:
        ValueError: if ``source`` is neither 'neck' nor 'roi'.
    """

    def __init__(self, *args: Any, source: str = 'neck', **kwargs: Any) -> None:
        if source not in ('neck', 'roi'):
            raise ValueError(f"{type(self).__name__}: source must be 'neck' or 'roi', "
                             f'got {source!r}')
        # before the adapters are built; nn.Module takes plain attributes at any time
        self.source = source
        self.needs = ('stage', ) if source == 'roi' else ()
        super().__init__(*args, **kwargs)

    def mean(self, x: Tensor) -> Tensor:
        """mean(all); of RoI features over all ranks."""
        return mean_all(x) if self.source == 'neck' else mean_over_rois(x)


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
