"""Small trained parts that bring the student's features to the teacher's width."""
from typing import Optional

import torch.nn.functional as F
from torch import Tensor, nn


def linear_adapter(student: Optional[int], teacher: Optional[int], source: str) -> nn.Module:
    """A linear map where the widths differ, else nothing, also where neither is known.

    Linear, because the outputs of an FPN have both signs: what ends in a ReLU
    cannot reach them.

    Raises:
        TypeError: if only one of the widths is known.
    """
    if student is None and teacher is None:
        return nn.Identity()
    need_widths(student, teacher)
    return nn.Identity() if student == teacher else pointwise(student, teacher, source)


def need_widths(student: Optional[int], teacher: Optional[int]) -> None:
    """Raise TypeError if a width is missing."""
    if student is None or teacher is None:
        raise TypeError('student_channels and teacher_channels are missing: outside of a detector, '
                        'which fills them in, both must be given')


def pointwise(inputs: int, outputs: int, source: str, bias: bool = True) -> nn.Module:
    """One linear map at each position of a map, or for each RoI."""
    if source == 'roi':
        return nn.Linear(inputs, outputs, bias=bias)
    return nn.Conv2d(inputs, outputs, 1, bias=bias)


class _SafeNorm:
    """Batch normalisation that takes its running statistics where one value has no variance."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() < 2 * x.size(1):
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias,
                                eps=self.eps)
        return super().forward(x)


class SafeBatchNorm1d(_SafeNorm, nn.BatchNorm1d):
    """For (N, D), also with one RoI or none."""


class SafeBatchNorm2d(_SafeNorm, nn.BatchNorm2d):
    """For (B, C, H, W), also with a single position."""
