"""Knowledge distillation by the Kullback-Leibler divergence."""
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from .base import LogitLoss


@MODELS.register_module()
class KDLoss(LogitLoss):
    r"""KD; with a learnable temperature it is CTKD.

    .. math::
        L_i = \tau_i^2 \sum_c p^t_{ic} (\log p^t_{ic} - \log p^s_{ic}),
        \quad p = \mathrm{softmax}(z / \tau)

    summed over the classes (background among them), multiplied by
    :math:`\tau^2` for each RoI, then averaged over RoIs. For one tau this is
    ``F.kl_div(log_softmax(s / tau), softmax(t / tau),
    reduction='batchmean') * tau ** 2``.

    Sources: "Distilling the Knowledge in a Neural Network" (2015); CTKD
    (AAAI 2023), eq. 1 and 3. Arguments: see :class:`LogitLoss`.

    Example:
        >>> loss = KDLoss(temperature=2.0)  # two classes and the background, one RoI
        >>> student, teacher = torch.tensor([[2., 0., 1.]]), torch.tensor([[4., 0., 1.]])
        >>> loss(student, teacher, labels=torch.tensor([0]))
        tensor(0.4402)
        >>> ctkd = KDLoss(temperature=dict(type='GlobalTemperature'))
        >>> ctkd.temperature.grl.lambda_ = 1.0  # CurriculumHook does this
        >>> ctkd(student, teacher, labels=torch.tensor([0])).backward()
        >>> ctkd.temperature.theta.grad < 0  # the optimizer raises theta, and with it the loss
        tensor([True])
    """

    def divergence(self, s: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """KL divergence of the softened distributions, (N,)."""
        log_p_s, log_p_t = s.log_softmax(1), t.log_softmax(1)
        return F.kl_div(log_p_s, log_p_t, reduction='none', log_target=True).sum(1)
