"""One learned temperature for each group of RoIs."""
from typing import Dict, Optional

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from .learned import LearnedTemperature


@MODELS.register_module()
class GroupTemperature(LearnedTemperature):
    """One tau for objects and one for the background, or one for each class.

    Three quarters of the RoIs that a detector samples are background, and
    need not share a temperature with the objects. Not in the CTKD paper; each
    group's tau is its global temperature (eq. 4).

    Args:
        by (str): 'foreground' or 'class'.
        num_classes (int): C, without the background.
        tau_min (float): Lower bound of tau. Defaults to 0.5; the paper has 1.
        tau_range (float): Width of the interval. Defaults to 1.5; the paper
            has 20.
        initial_temperature (float, optional): Initial tau of every group.
            Defaults to None, 1 where the bounds allow, otherwise the middle.
        num_logits (int, optional): Logits in a row where they are not of
            classes: the bins of a box distribution, see :class:`LDLoss`.
            Defaults to None, C or C + 1.

    Raises:
        ValueError: if ``by`` is unknown, a bound is not above 0, or
            ``initial_temperature`` is outside the bounds; in ``forward``, if
            the logits are of another number of classes, or not ``num_logits``.
            A detector refuses another ``num_classes`` than its own.

    Example:
        >>> temperature = GroupTemperature(by='foreground', num_classes=2)
        >>> temperature.theta.data = torch.tensor([0.0, 40.0])  # background at the upper bound
        >>> logits = torch.rand(3, 3)
        >>> temperature(logits, logits, labels=torch.tensor([0, 2, 1])).squeeze(1).tolist()
        [1.25, 2.0, 1.25]
    """

    def __init__(self,
                 by: str,
                 num_classes: int,
                 tau_min: float = 0.5,
                 tau_range: float = 1.5,
                 initial_temperature: Optional[float] = None,
                 num_logits: Optional[int] = None) -> None:
        super().__init__(tau_min, tau_range)
        if by not in ('foreground', 'class'):
            raise ValueError(f"by must be 'foreground' or 'class', got {by!r}")
        self.by, self.num_classes = by, num_classes
        self.widths = (num_classes, num_classes + 1) if num_logits is None else (num_logits, )
        num_groups = 2 if by == 'foreground' else num_classes + 1
        init = self.bounds.initial_theta(initial_temperature, otherwise=0.0)
        self.theta = nn.Parameter(torch.full((num_groups, ), init))

    def forward(self, student_logits: Tensor, teacher_logits: Tensor,
                labels: Tensor) -> Tensor:
        """Return tau, shape (N, 1)."""
        width = student_logits.size(1)
        if width not in self.widths:
            if len(self.widths) == 1:
                raise ValueError(f'GroupTemperature has num_logits={self.widths[0]}, but there '
                                 f'are {width}')
            raise ValueError(f'GroupTemperature has num_classes={self.num_classes}, but the logits '
                             f'are of {width - 1} classes and the background')
        groups = (labels == self.num_classes).long() if self.by == 'foreground' else labels
        return self.tau(self.theta)[groups, None]

    def statistics(self, tau: Tensor) -> Dict[str, Tensor]:
        """Also the tau of each group, ``tau_foreground`` or ``tau_class_0``."""
        names = ('foreground', 'background') if self.by == 'foreground' else [
            f'class_{i}' for i in range(self.num_classes)] + ['background']
        taus = self.bounds.tau(self.theta.detach())
        return {**super().statistics(tau),
                **{f'tau_{name}': value for name, value in zip(names, taus, strict=True)}}
