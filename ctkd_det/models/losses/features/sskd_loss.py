"""The self-supervised term of SSKD: which RoI of the plain images a rotated one is."""
from typing import Any, Optional

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn

from ...precision import at_least_float32
from ..distill_loss import above_zero
from ..draws import Draws
from ..weights import weighted_mean
from .adapters import need_widths
from .base import FeatureLoss


@MODELS.register_module()
class SSKDLoss(FeatureLoss):
    r"""SSKD: how similar rotated objects are to the plain ones, as the teacher sees it.

    .. math::
        A_{ij} = \cos(g(\tilde x_i), g(x_j)), \quad
        L = \frac{\tau^2}{|K|} \sum_{i \in K} \mathrm{KL}\big(
        \mathrm{softmax}(A^t_i / \tau) \,\|\, \mathrm{softmax}(A^s_i / \tau)\big)
        + \frac1{w M} \sum_i \mathrm{CE}(A^t_i, i)

    x are features of M RoIs of different objects, :math:`\tilde x` those of
    the same RoIs on the rotated images, and g, one for each side, two linear
    layers as wide as the features with a ReLU between them. K are the rows in
    which the teacher finds the plain RoI of the same object most similar, and
    ``wrong_share`` of the others, those in which it ranks highest.

    The cross-entropy of the untempered cosines trains the teacher's g, and
    nothing else; divided by the weight w, it counts once whatever the weight.
    Before the window's begin it is all there is, so that g is trained when it
    begins to teach. The divergence trains the student and its g.

    Source: "Knowledge Distillation Meets Self-Supervision" (ECCV 2020), whose
    code trains the teacher's g for 60 epochs before the student, then freezes
    it; here it goes on learning. Published weight: 10 in the code, 2.7 in the
    paper, for images of CIFAR in four rotations each, beside 0.1 of the
    task's; none with a detector.

    Args:
        tau (float): Divides the cosines; it is not CTKD's temperature, which
            divides logits. Defaults to 0.5.
        wrong_share (float): From 0 to 1, rounded down to whole rows. Defaults
            to 0.75.
        **kwargs: See :class:`FeatureLoss`.

    Example:
        >>> loss = SSKDLoss(student_channels=2, teacher_channels=2)
        >>> loss.adapters[0] = nn.ModuleDict(dict(student=nn.Identity(), teacher=nn.Identity()))
        >>> plain = torch.tensor([[1., 0.], [0., 1.]])
        >>> loss(plain, plain, rotated_student=plain.flip(0), rotated_teacher=plain)
        tensor(0.6941)
    """
    source, rotated = 'roi', True
    needs = ('stage', 'rotated_student', 'rotated_teacher')

    def __init__(self, *args: Any, tau: float = 0.5, wrong_share: float = 0.75,
                 **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not 0 <= wrong_share <= 1:
            raise ValueError(f'SSKDLoss: wrong_share must be from 0 to 1, got {wrong_share}')
        self.tau, self.wrong_share = above_zero('SSKDLoss: tau', tau), wrong_share
        self.draws = Draws()

    @property
    def factor(self) -> float:
        """float: The weight, from the start to the window's end."""
        return self.loss_weight if self.window.waits or self.window.factor else 0.0

    def build_adapter(self, student: Optional[int], teacher: Optional[int]) -> nn.Module:
        """The two g."""
        need_widths(student, teacher)
        return nn.ModuleDict({side: nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            for side, width in (('student', student), ('teacher', teacher))})

    def compare(self, i: int, s: Tensor, t: Tensor, rotated_student: Tensor,
                rotated_teacher: Tensor) -> Tensor:
        """The loss.

        Args:
            i (int): The stage.
            s (Tensor): (M, D), the student's features of RoIs of different
                objects.
            t (Tensor): (M, D'), the teacher's.
            rotated_student (Tensor): (M, D), the student's of the same RoIs on
                the rotated images.
            rotated_teacher (Tensor): (M, D'), the teacher's.
        """
        of_student = self._similarities(i, 'student', rotated_student, s)
        of_teacher = self._similarities(i, 'teacher', rotated_teacher.detach(), t)
        own = torch.arange(len(t), device=t.device)
        lesson = F.cross_entropy(of_teacher, own, reduction='none')
        of_teacher = of_teacher.detach()
        rank = true_rank(of_teacher, own)
        kept = best_ranked(rank, self.wrong_share).to(t)
        divergence = self.tau**2 * F.kl_div(
            (of_student / self.tau).log_softmax(1), (of_teacher / self.tau).log_softmax(1),
            reduction='none', log_target=True).sum(1)
        # a stage without RoIs has nothing to add to the mean of the stages
        self.statistics = dict(teacher_right=(rank == 0).to(t).mean()) if len(t) else {}
        return (self.window.factor * weighted_mean(divergence, kept, kept.sum())
                + weighted_mean(lesson, torch.ones_like(kept), len(t)) / self.loss_weight)

    def _similarities(self, i: int, side: str, rotated: Tensor, plain: Tensor) -> Tensor:
        """(M, M), cosines of each rotated RoI with each plain one."""
        layers = self.adapters[i][side]
        weight = next(layers.parameters(), plain)
        rotated, plain = (F.normalize(at_least_float32(layers(x.to(weight.dtype))), dim=1)
                          for x in (at_least_float32(rotated), plain))
        return rotated @ plain.t()


def true_rank(scores: Tensor, target: Tensor) -> Tensor:
    """How many answers stand before the true one; of equal ones the first comes first.

    Args:
        scores (Tensor): (M, K).
        target (Tensor): (M,), the true answer of each row.

    Returns:
        Tensor: (M,), 0 where the true one is the best.
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    places = torch.arange(scores.size(1), device=scores.device)
    return (places * (order == target[:, None])).sum(1)


def best_ranked(rank: Tensor, wrong_share: float) -> Tensor:
    """Which rows are right, or among the best-ranked ones of the others.

    Args:
        rank (Tensor): (M,), as :func:`true_rank` gives it.
        wrong_share (float): Of the rows that are not right, rounded down; of
            equally good ones the first are taken.

    Returns:
        Tensor: (M,), bool.
    """
    right = rank == 0
    count = right.sum() + ((~right).sum() * wrong_share).floor()
    place = rank.argsort(stable=True).argsort()
    return place < count
