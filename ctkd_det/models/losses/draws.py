"""Random numbers of a loss's own."""
from typing import Tuple

import torch
from mmengine.dist import get_rank
from torch import Tensor, nn


class Draws(nn.Module):
    """Draws from a generator of its own, whose state is in the checkpoint.

    The student samples its RoIs from the global generator; draws from that one
    would give it other RoIs than in a run without the loss. On the CPU, so the
    numbers do not depend on the device.

    They follow from the seed of the training, and each rank has others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(torch.initial_seed() + get_rank())

    def forward(self, shape: Tuple[int, ...], device: torch.device) -> Tensor:
        """Uniform float32 numbers from 0 to 1."""
        return torch.rand(shape, generator=self.generator).to(device)

    def get_extra_state(self) -> Tensor:
        """The generator's state, for checkpoints."""
        return self.generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Continue from a checkpoint's state."""
        self.generator.set_state(state.cpu())

    def __deepcopy__(self, memo: dict) -> 'Draws':
        """A copy (EMA's) goes its own way from the same state."""
        twin = Draws()
        twin.set_extra_state(self.get_extra_state())
        return twin
