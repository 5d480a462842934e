"""A zero that depends on parameters."""
from torch import Tensor, nn


def zero_of(module: nn.Module, like: Tensor) -> Tensor:
    """0 with all parameters of a module in its graph, where DDP expects them in each step."""
    return sum((p.sum() * 0 for p in module.parameters()), like.new_zeros(()))
