"""What a distilled detector shows of its temperatures in the log."""
from typing import Dict, List, Optional

import torch
from torch import Tensor

from ...log_names import LAMBDA, log_name


def log_values(name: str, lambda_: Optional[float],
               statistics: List[Dict[str, Tensor]]) -> Dict[str, Tensor]:
    """Temperature statistics and lambda as ``ctkd.tau_mean`` for ``loss_ctkd``.

    The stages of a cascade share one temperature, so there is one entry for
    all: the least ``tau_min``, the largest ``tau_max`` and otherwise the mean
    over the stages that had RoIs.
    """
    combine = dict(tau_min=torch.min, tau_max=torch.max)
    values = {}
    for key in {key: None for stage in statistics for key in stage}:
        taus = torch.stack([stage[key] for stage in statistics if key in stage])
        values[key] = combine.get(key, torch.mean)(taus)
    if lambda_ is not None:
        values[LAMBDA] = torch.tensor(lambda_)
    return {log_name(name, key): value for key, value in values.items()}
