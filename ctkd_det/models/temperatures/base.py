"""What every temperature has in common."""
from typing import Dict, List, Optional, Tuple, Union

import torch
from torch import Tensor, nn

# one for both sides, or the student's and the teacher's; of several levels a list of these
Tau = Union[Tensor, Tuple[Tensor, Tensor]]
Taus = Union[Tau, List[Tau]]


class BaseTemperature(nn.Module):
    """Turns logits into a temperature, the number tau by which they are divided.

    Subclasses implement ``forward(student_logits, teacher_logits, labels)``.
    The logits are (N, C+1) with the background last, N sampled RoIs and C
    classes; the labels are (N,) with C for the background. What comes back is
    (1,), one tau for all RoIs, or (N, 1), one for each, in float32 or wider;
    or a tuple of two of these, tau of the student's logits and tau of the
    teacher's; or a list, whose members are levels: the loss is the mean of
    the losses at each.

    Attributes:
        for_sigmoids (bool): Whether it has a meaning for the logits of a
            head with ``use_sigmoid=True``. Defaults to True.
    """
    for_sigmoids = True

    @property
    def lambda_(self) -> Optional[float]:
        """float or None: Strength of the adversary; None if nothing is learned."""
        return None

    def statistics(self, tau: Taus) -> Dict[str, Tensor]:
        """Detached scalars for the log, from what ``forward`` returned.

        ``tau_mean``, ``tau_min`` and ``tau_max`` over the RoIs, both sides
        and all levels, each side and level as much as the others. Where there
        are two sides also ``tau_student`` and ``tau_teacher``, the mean of
        each over the RoIs.
        """
        sides = [x.detach() for x in tensors_of(tau)]
        if any(side.numel() == 0 for side in sides):
            return {}
        found = dict(tau_mean=torch.stack([side.mean() for side in sides]).mean(),
                     tau_min=torch.stack([side.min() for side in sides]).min(),
                     tau_max=torch.stack([side.max() for side in sides]).max())
        if isinstance(tau, tuple):
            found.update(tau_student=sides[0].mean(), tau_teacher=sides[-1].mean())
        return found


def levels_of(tau: Taus) -> List[Tau]:
    """The levels of what a temperature returned, most often one."""
    return tau if isinstance(tau, list) else [tau]


def pair_of(tau: Tau) -> Tuple[Tensor, Tensor]:
    """Tau of the student and of the teacher, the same tensor if there is one for both."""
    return tau if isinstance(tau, tuple) else (tau, tau)


def tensors_of(tau: Taus) -> List[Tensor]:
    """Every tensor of what a temperature returned: of each level, of each side."""
    return [x for level in levels_of(tau)
            for x in (level if isinstance(level, tuple) else (level, ))]
