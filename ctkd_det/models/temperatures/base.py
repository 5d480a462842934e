"""What every temperature has in common."""
from typing import Dict, Optional

from torch import Tensor, nn


class BaseTemperature(nn.Module):
    """Turns logits into a temperature, the number tau by which they are divided.

    Subclasses implement ``forward(student_logits, teacher_logits, labels)``.
    The logits are (N, C+1) with the background last, N sampled RoIs and C
    classes; the labels are (N,) with C for the background. What comes back is
    (1,), one tau for all RoIs, or (N, 1), one for each, in float32 or wider.
    """

    @property
    def lambda_(self) -> Optional[float]:
        """float or None: Strength of the adversary; None if nothing is learned."""
        return None

    def statistics(self, tau: Tensor) -> Dict[str, Tensor]:
        """Detached scalars for the log, from what ``forward`` returned."""
        if tau.numel() == 0:
            return {}
        tau = tau.detach()
        return dict(tau_mean=tau.mean(), tau_min=tau.min(), tau_max=tau.max())
