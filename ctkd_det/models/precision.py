"""In what precision losses and temperatures are computed."""
import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """The tensor in float32 if it has half precision, else itself."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
