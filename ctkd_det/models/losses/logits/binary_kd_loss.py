"""Knowledge distillation for classifiers that end in sigmoids."""
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from .base import LogitLoss


@MODELS.register_module()
class BinaryKDLoss(LogitLoss):
    r"""KL divergence of C independent yes-or-no answers.

    .. math::
        L_i = \tau_i^2 \sum_c KL(\sigma(t_{ic} / \tau_i) \| \sigma(s_{ic} / \tau_i))

    For heads with ``use_sigmoid=True``, whose logits come as (N, C), without
    the background's where a head has one; labels are C there. Source: eq. 1 of
    CTKD (AAAI 2023) for Bernoulli distributions. Arguments: see
    :class:`LogitLoss`.

    Example:
        >>> loss = BinaryKDLoss(temperature=2.0, foreground_weight=0.5)  # two classes
        >>> student = torch.tensor([[2., 0.], [0., 0.]])
        >>> teacher = torch.tensor([[4., 0.], [0., 0.]])
        >>> loss(student, teacher, labels=torch.tensor([0, 2]))  # an object and the background
        tensor(0.1343)
    """

    for_sigmoids = True

    @staticmethod
    def background(s: Tensor) -> int:
        """Label of the background: one after the last logit's index."""
        return s.size(1)

    def divergence(self, s: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """Sum of the KL divergences of C Bernoulli distributions, (N,)."""
        kl = sum(F.kl_div(F.logsigmoid(sign * s), F.logsigmoid(sign * t), reduction='none',
                          log_target=True) for sign in (1, -1))
        return kl.sum(1)
