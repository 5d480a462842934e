"""Sees how large the losses between logits are beside the student's own."""
import logging
from typing import Any, Dict, Iterable

import torch
from mmengine.logging import print_log
from torch import Tensor

# steps whose means are compared, and the ratio that is said
_STEPS, _LARGE = 200, 5.0


class LossShare:
    """Warns, once, if the losses between logits are many times the student's own.

    The usual factor tau^2 can make them so, if the teacher is very certain or
    theta climbs far; the student then learns nothing else, or its weights run
    away (docs/evidence/sure-teachers.md). It is looked at every 200 steps in which
    such a loss is active. Until then the sums stay on the device.
    """

    def __init__(self) -> None:
        self._sums: Any = 0
        self._seen = 0
        self._said = False

    def see(self, own: Dict[str, Any], distilled: Dict[str, Tensor], names: Iterable[str]) -> None:
        """Note a step.

        Args:
            own (dict): Losses of the student, as mmdet returns them.
            distilled (dict): Of the distillation, see :func:`distillation_losses`.
            names (Iterable[str]): Of the losses between logits that are active.
        """
        names = set(names)
        if self._said or not names:
            return
        between_logits = sum(value.detach() for key, value in distilled.items()
                             if key.rpartition('.')[2] in names)
        # what mmengine's parse_losses adds up
        usual = sum((x.detach().mean() for key, value in own.items() if 'loss' in key
                     for x in (value if isinstance(value, (list, tuple)) else [value])),
                    start=torch.zeros_like(between_logits))
        self._sums = self._sums + torch.stack([between_logits, usual])
        self._seen += 1
        if self._seen == _STEPS:
            large, small = self._sums.tolist()  # the one wait for the device
            self._sums = self._seen = 0
            # 0: a student that learns from its teacher alone
            if large > _LARGE * small > 0:
                self._said = True
                print_log(
                    f'{" and ".join(sorted(names))}: in {_STEPS} steps {large / small:.1f} times '
                    "the student's own losses. So large a loss can ruin the student. Lower the "
                    'temperature or loss_weight, or set tau_power=1; docs/map-dropped.md has '
                    'more', 'current', logging.WARNING)
