"""Forms of the learned temperature that only the bench knows: none of them has won."""
import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from ctkd_det.models.temperatures.learned import LearnedTemperature


@MODELS.register_module()
class LogTemperature(LearnedTemperature):
    """One tau for all RoIs, whose logarithm lies between bounds, here 0.5 and 2; starts at 1."""

    def __init__(self) -> None:
        super().__init__(tau_min=0.5, tau_range=1.5)
        # 1 is the middle of log 0.5 and log 2
        self.theta = nn.Parameter(torch.zeros(1))

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        """Return tau, shape (1,)."""
        share = self.grl(self.theta).sigmoid()
        return self.bounds.tau_min * (self.bounds.tau_max / self.bounds.tau_min)**share


@MODELS.register_module()
class TeacherScaleTemperature(LearnedTemperature):
    """One tau for all RoIs, between an eighth of the scale of the teacher's logits and all of it.

    The scale is the logits' standard deviation over the classes, averaged over the RoIs and
    over the iterations; tau starts at a quarter of it. In one process, as the bench trains.
    """

    def __init__(self, momentum: float = 0.01) -> None:
        super().__init__(tau_min=0.125, tau_range=0.875)
        self.momentum = momentum
        self.theta = nn.Parameter(torch.tensor([self.bounds.theta(0.25)]))
        self.register_buffer('scale', torch.zeros(1))

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        """Return tau, shape (1,)."""
        if len(teacher_logits):
            scale = teacher_logits.std(1, correction=0).mean()
            self.scale.lerp_(scale, self.momentum if self.scale > 0 else 1.0)
        return self.scale * self.tau(self.theta)
