"""How much faster the vectorised instance-wise KD is than a loop over RoIs.

Both compute the same loss and gradients, each RoI with its own temperature, on
one thread; the ratio of their processor times in this one run is what is printed.
"""
import argparse
import time
from typing import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ctkd_det.models.losses import KDLoss
from ctkd_det.models.temperatures import BaseTemperature


class Given(BaseTemperature):
    """Hands out the temperatures it was given."""

    def __init__(self, tau: Tensor) -> None:
        super().__init__()
        self.tau = tau

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        """Return the temperatures, (N, 1)."""
        return self.tau


def loop(s: Tensor, t: Tensor, tau: Tensor) -> Tensor:
    """One call of ``kl_div`` for each RoI, as in the paper's code."""
    losses = [F.kl_div(F.log_softmax(s[i:i + 1] / tau[i], 1), F.softmax(t[i:i + 1] / tau[i], 1),
                       reduction='batchmean') * tau[i]**2 for i in range(len(s))]
    return torch.cat(losses).mean()


def seconds(compute: Callable[[], Tensor], repeats: int) -> float:
    """Best processor time of a forward and backward pass; other work does not count."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        compute().backward()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rois', type=int, default=1024)
    parser.add_argument('--classes', type=int, default=80)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    s, t = (3 * torch.randn(args.rois, args.classes + 1) for _ in range(2))
    s.requires_grad_()
    tau = (1 + torch.rand(args.rois, 1)).requires_grad_()
    labels = torch.zeros(args.rois, dtype=torch.long)
    vectorised = KDLoss(Given(tau))
    torch.testing.assert_close(vectorised(s, t, labels), loop(s, t, tau))
    slow = seconds(lambda: loop(s, t, tau), repeats=3)
    fast = seconds(lambda: vectorised(s, t, labels), repeats=50)
    print(f'{args.rois} RoIs, {args.classes + 1} logits: loop {1e3 * slow:.1f} ms, '
          f'vectorised {1e3 * fast:.2f} ms, ratio {slow / fast:.0f}')


if __name__ == '__main__':
    main()
