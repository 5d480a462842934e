"""Correlation instead of difference."""
from typing import Any, List, Optional, Tuple

from mmdet.registry import MODELS
from torch import Tensor

from .base import FeatureLoss
from .reductions import mean_all
from .shapes import resize_to

# added to the deviation of a channel, which may be constant
_EPS = 1e-6


@MODELS.register_module()
class PKDLoss(FeatureLoss):
    r"""PKD: one minus Pearson's correlation of each channel.

    .. math::
        \hat a_c = \frac{a_c - \mathrm{mean}(a_c)}{\mathrm{std}(a_c) + 10^{-6}}, \quad
        L = \sum_l \tfrac12 \mathrm{mean} (\hat s_l - \hat t_l)^2

    mean(all); mean and (unbiased) deviation over all images and positions of
    the batch; a sum over levels. So neither scale nor offset of a channel
    counts, and teachers of other kinds can teach. Where the widths differ the
    student gets a linear adapter, which the paper does not have.

    Source: "PKD: General Distillation Framework for Object Detectors via
    Pearson Correlation Coefficient" (NeurIPS 2022), in the form of its code.
    Published weights: 6 for two-stage detectors (P2 to P5), 10 for
    single-stage ones.

    Args:
        resize (str, optional): Whose maps are resized where the sizes differ,
            'student' or 'teacher'; None refuses. Defaults to 'student'.
        **kwargs: See :class:`FeatureLoss`.
    """

    def __init__(self, *args: Any, resize: Optional[str] = 'student', **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if resize not in ('student', 'teacher', None):
            raise ValueError(f"PKDLoss: resize must be 'student', 'teacher' or None, "
                             f'got {resize!r}')
        self.resize = resize

    def match(self, s: List[Tensor], t: List[Tensor]) -> Tuple[List[Tensor], List[Tensor]]:
        """Bring both sides to one size, as ``resize`` says."""
        if self.resize == 'student':
            return super().match(s, t)
        if self.resize is None and [x.shape[2:] for x in s] != [x.shape[2:] for x in t]:
            raise ValueError('PKDLoss with resize=None: the maps differ in size, '
                             f'{[tuple(x.shape) for x in s]} of the student and '
                             f'{[tuple(x.shape) for x in t]} of the teacher')
        return s, [resize_to(b, a) for a, b in zip(s, t, strict=True)]

    def compare(self, i: int, s: Tensor, t: Tensor) -> Tensor:
        """The loss of a level or stage, see the class."""
        return mean_all((_standardize(self.adapt(i, s)) - _standardize(t)).square()) / 2


def _standardize(x: Tensor) -> Tensor:
    """Each channel at mean 0 and deviation 1 over the batch; (C, n)."""
    x = x.transpose(0, 1).flatten(1)
    if not x.numel():
        return x
    # a single value has no deviation from itself; the correction would make it 0 / 0
    std = x.std(1, keepdim=True, correction=min(1, x.size(1) - 1))
    return (x - x.mean(1, keepdim=True)) / (std + _EPS)
