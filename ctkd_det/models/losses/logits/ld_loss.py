"""Localization distillation: knowledge distillation between box distributions."""
from typing import List, Union

from mmdet.registry import MODELS
from torch import nn

from .kd_loss import KDLoss

# the locations that the student was assigned objects, and those around them
REGIONS = ('distributions', 'vlr')


@MODELS.register_module()
class LDLoss(KDLoss):
    r"""LD, for heads that regress each side of a box as a distribution, as GFL's does.

    .. math::
        L_i = \tau_i^2 KL(p^t_i \| p^s_i), \quad p = \mathrm{softmax}(z / \tau)

    of each side i of each location, over the ``reg_max + 1`` bins of the
    distance to that side. It is :class:`KDLoss` with other rows: P locations
    give (4 P, bins), left, top, right and bottom of a location one after the
    other. Every temperature fits in: a number as published, or a learned one,
    which is CTKD on boxes.

    A detector weights the rows. ``source='distributions'``, the main region:
    the locations with an object, each by the student's own largest class
    score there, as GFL weights its box losses. ``source='vlr'``, the valuable
    localization region around them: locations whose anchor A has
    ``gamma * alpha <= DIoU(A, B) < alpha`` with an object B, alpha the IoU
    from which ATSS assigns B, gamma 0.25; each by its IoU with the object.
    Both sums are divided by four times the sum of the main region's weights
    over all ranks, which is what GFL divides its distribution focal loss by.

    ``labels`` of the rows are the class of their location's object, C in the
    valuable region. So a :class:`GroupTemperature` has one temperature for
    each class of objects; neither region has a background, and
    ``foreground_weight`` means nothing here.

    Source: "Localization Distillation for Dense Object Detection" (CVPR
    2022), with a temperature of 10, that is 1 / 17 of the sum over 17 bins,
    a weight of 0.25 and no divisor. This package's weight 1 is the published
    0.25 where the main region's weights add up to 68; the published sum over
    the valuable region has a quarter of the other's factor.

    Args:
        temperature (float | list[float] | dict | str): See :class:`LogitLoss`.
            Defaults to 10, the paper's.
        source (str): 'distributions' or 'vlr', as above. Defaults to
            'distributions'.
        **kwargs: See :class:`LogitLoss`.

    Raises:
        ValueError: if ``source`` is unknown, ``foreground_weight`` is given,
            or for :class:`LogitLoss`'s reasons.

    Example:
        >>> loss = LDLoss()  # one location, distributions over three bins
        >>> student = torch.tensor([[1., 0., 0.]]).expand(4, 3)  # of its four sides
        >>> teacher = torch.tensor([[0., 1., 0.]]).expand(4, 3)
        >>> loss(student, teacher, labels=torch.tensor([7, 7, 7, 7]))
        tensor(0.3387)
    """
    source = 'distributions'
    has_background = False

    def __init__(self,
                 temperature: Union[float, List[float], dict, nn.Module] = 10.0,
                 source: str = 'distributions',
                 **kwargs) -> None:
        if source not in REGIONS:
            raise ValueError(f"source must be 'distributions' or 'vlr', got {source!r}")
        super().__init__(temperature, **kwargs)
        self.source = source
