"""Softmax regression representation learning."""
from typing import Any, Callable, Optional

from mmdet.registry import MODELS
from torch import Tensor, nn

from ..distill_loss import at_least_zero
from .adapters import SafeBatchNorm1d, need_widths
from .base import FeatureLoss
from .reductions import mean_over_rois


@MODELS.register_module()
class SRRLLoss(FeatureLoss):
    r"""SRRL: the student's features, and what the teacher's classifier says of them.

    .. math::
        L = \alpha \, \mathrm{mean}(h_t - r(h_s))^2 +
        \beta \, \mathrm{mean}(W_t h_t - W_t r(h_s))^2

    h are the features (N, D) that the classifiers receive, W_t is the
    teacher's classifier, frozen, and r a linear map without bias, batch
    normalisation and ReLU. Both means are mean(all) over the RoIs of all
    ranks. Source: "Knowledge Distillation via Softmax Regression
    Representation Learning" (ICLR 2021). Published weight: 1 with alpha = beta
    = 1, on ImageNet; none with a detector.

    Args:
        alpha (float): Weight of the features. Defaults to 1.
        beta (float): Weight of the logits. Defaults to 1.
        **kwargs: See :class:`FeatureLoss`.
    """
    source = 'roi'
    needs = ('stage', 'classifier')

    def __init__(self, *args: Any, alpha: float = 1.0, beta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.alpha, self.beta = at_least_zero('alpha', alpha), at_least_zero('beta', beta)

    def build_adapter(self, student: Optional[int], teacher: Optional[int]) -> nn.Module:
        """A linear map without bias, batch normalisation and ReLU."""
        need_widths(student, teacher)
        return nn.Sequential(
            nn.Linear(student, teacher, bias=False), SafeBatchNorm1d(teacher), nn.ReLU())

    def compare(self, i: int, s: Tensor, t: Tensor,
                classifier: Callable[[Tensor], Tensor]) -> Tensor:
        """The loss.

        Args:
            i (int): The stage.
            s (Tensor): (N, D), the student's features.
            t (Tensor): (N, D'), the teacher's.
            classifier (Callable): Logits (N, K) of the teacher for (N, D)
                features. It is frozen, gradients go through it to the student.
        """
        s = self.adapt(i, s)
        logits = (classifier(s) - classifier(t)).square()
        return self.alpha * mean_over_rois((s - t).square()) + self.beta * mean_over_rois(logits)
