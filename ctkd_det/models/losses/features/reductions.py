"""How a feature loss becomes a scalar."""
from torch import Tensor

from ..weights import weighted_mean


def mean_all(x: Tensor) -> Tensor:
    """Mean over every element of a map; 0 with a graph if there is none."""
    return x.sum() / max(x.numel(), 1)


def mean_over_rois(x: Tensor) -> Tensor:
    """Mean over the elements of all ranks, whose numbers of RoIs differ.

    Data-parallel training averages the ranks' gradients, see
    :func:`weighted_mean`. Every rank must come here, also one without RoIs.
    """
    return weighted_mean(x, x.new_ones(()), x.numel())
