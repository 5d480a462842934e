"""Knowledge distillation of masks."""
from mmdet.registry import MODELS
from torch import Tensor

from .binary_kd_loss import BinaryKDLoss


@MODELS.register_module()
class MaskKDLoss(BinaryKDLoss):
    r"""KL divergence of the yes-or-no answers of a mask's pixels.

    .. math::
        L_i = \frac{\tau_i^2}{HW}
              \sum_{x} KL(\sigma(t_{ix} / \tau_i) \| \sigma(s_{ix} / \tau_i))

    averaged over the P masks: a temperature, and a term of the mean, belong to
    one mask. The masks are the student's own of what it was assigned, and the
    teacher's of the same RoIs or locations, both of the class of the object.
    Source: eq. 1 of CTKD (AAAI 2023) for the Bernoulli distribution of each
    pixel.

    Args:
        temperature (float | dict | ...): See :class:`LogitLoss`; ``labels``
            are the classes of the objects, and there is no background.
            Defaults to 1.
        **kwargs: Further arguments of :class:`LogitLoss`.

    Raises:
        ValueError: if ``foreground_weight`` is given: every mask is an
            object's.

    Example:
        >>> loss = MaskKDLoss(temperature=2.0)  # one mask of 1 x 2 pixels
        >>> student, teacher = torch.tensor([[[2., 0.]]]), torch.tensor([[[4., 0.]]])
        >>> loss(student, teacher, labels=torch.tensor([0]))
        tensor(0.1343)
    """
    source = 'masks'
    needs = ('labels', )
    has_background = False

    def __init__(self, temperature=1.0, **kwargs) -> None:
        super().__init__(temperature, **kwargs)

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss, see :meth:`LogitLoss.forward`.

        Args:
            student (Tensor): (P, H, W) logits.
            teacher (Tensor): (P, H, W); no gradient goes through it.
            labels (Tensor): (P,), classes.

        Returns:
            Tensor: A scalar; 0 with a graph if P is 0.
        """
        return super().forward(student.flatten(1), teacher.flatten(1), labels)

    def divergence(self, s: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """Mean over the H * W pixels of each mask, (P,)."""
        return super().divergence(s, t, labels) / s.size(1)
