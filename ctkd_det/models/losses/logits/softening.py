"""Which side of a logit loss is softened, and what the softening is multiplied by."""
from typing import Tuple

import torch
from torch import Tensor

from ...temperatures.base import Tau, pair_of

SIDES = ('both', 'teacher', 'student')


def softening(tau: Tau, soften: str) -> Tuple[Tensor, Tensor]:
    """What the student's and the teacher's logits are divided by.

    Args:
        tau (Tensor | tuple[Tensor, Tensor]): From a temperature.
        soften (str): One of :data:`SIDES`; the other side is divided by 1.
    """
    tau_s, tau_t = pair_of(tau)
    if soften == 'teacher':
        return torch.ones_like(tau_t), tau_t
    if soften == 'student':
        return tau_s, torch.ones_like(tau_s)
    return tau_s, tau_t


def power_of(tau: Tau, soften: str, power: float) -> Tensor:
    """What a RoI's loss is multiplied by, (1,) or (N,).

    The power of the one tau, or of the softened side's; of two taus
    ``(tau_s * tau_t) ** (power / 2)``.
    """
    tau_s, tau_t = pair_of(tau)
    if soften == 'both' and tau_s is not tau_t:
        return (tau_s * tau_t).reshape(-1)**(power / 2)
    return (tau_t if soften == 'teacher' else tau_s).reshape(-1)**power


@torch.no_grad()
def uncertainty(t: Tensor, tau: Tensor) -> Tensor:
    """U = sum_c p_c ** (1 / tau) of the teacher's probabilities p at temperature 1, (N,).

    1 where the teacher is certain of one class, and (C+1) ** (1 - 1 / tau)
    where all are equally probable. Source: WTTM, "Knowledge Distillation
    Based on Transformed Teacher Matching" (ICLR 2024), whose exponent is
    1 / tau.
    """
    return (t.log_softmax(1) / tau).logsumexp(1).exp()
