"""The logit losses once more, in float64 from their papers with numpy loops, and their inputs."""
import numpy as np
import torch

from ctkd_det.models import BinaryKDLoss, DISTLoss, DKDLoss, KDLoss, QualityFocalKDLoss
from ctkd_det.models.temperatures import BaseTemperature

LOSSES = {'kd': KDLoss, 'dkd': lambda tau, **kw: DKDLoss(tau, alpha=0.7, beta=3.0, **kw),
          'dist': lambda tau, **kw: DISTLoss(tau, beta=1.5, gamma=0.5, **kw),
          'binary': BinaryKDLoss,
          'quality_focal': lambda tau, **kw: QualityFocalKDLoss(tau, beta=1.5, **kw)}
SIGMOIDS = ('binary', 'quality_focal')
# names, RoIs and classes; of one class, DIST's correlation between classes is refused
CASES = [(name, n, c) for name in LOSSES for n, c in ((0, 8), (1, 8), (7, 1), (7, 80), (5, 1203))
         if (name, c) != ('dist', 1)]


class Given(BaseTemperature):
    """Hands out tau as it is told, one for each RoI."""

    def __init__(self, tau):
        super().__init__()
        self.tau = tau

    def forward(self, student_logits, teacher_logits, labels):
        return self.tau


def sample(name, n, c, scale=3.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    width = c if name in SIGMOIDS else c + 1
    s, t = (scale * torch.randn(n, width, dtype=torch.float64, generator=generator)
            for _ in range(2))
    labels = torch.randint(c + 1, (n, ), generator=generator)
    tau = 0.5 + 4 * torch.rand(n, 1, dtype=torch.float64, generator=generator)
    weight = torch.rand(n, dtype=torch.float64, generator=generator)
    return s, t, labels, tau, weight


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def kl(p, q):
    return sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def pearson(a, b):
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


def kd(s, t, y, tau):
    return [k**2 * kl(softmax(b / k), softmax(a / k)) for a, b, k in zip(s, t, tau, strict=True)]


def dkd(s, t, y, tau):
    out = []
    for a, b, target, k in zip(s, t, y, tau, strict=True):
        p_s, p_t = softmax(a / k), softmax(b / k)
        binary = kl([p_t[target], 1 - p_t[target]], [p_s[target], 1 - p_s[target]])
        others = kl(softmax(np.delete(b, target) / k), softmax(np.delete(a, target) / k))
        out.append(k**2 * (0.7 * binary + 3.0 * others))
    return out


def dist(s, t, y, tau):
    p_s, p_t = (np.stack([softmax(a / k) for a, k in zip(z, tau, strict=True)])
                if len(z) else z for z in (s, t))
    intra = np.mean([1 - pearson(p_s[:, c], p_t[:, c]) for c in range(s.shape[1])]) if len(
        s) > 1 else 0.0
    return [k**2 * (1.5 * (1 - pearson(a, b)) + 0.5 * intra)
            for a, b, k in zip(p_s, p_t, tau, strict=True)]


def binary(s, t, y, tau):

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def kl_of_sigmoids(v, u):
        return kl([sigmoid(v), sigmoid(-v)], [sigmoid(u), sigmoid(-u)])

    return [k**2 * sum(kl_of_sigmoids(v / k, u / k) for u, v in zip(a, b, strict=True))
            for a, b, k in zip(s, t, tau, strict=True)]


def quality_focal(s, t, y, tau):
    out = []
    for a, b, k in zip(s, t, tau, strict=True):
        p, q = 1 / (1 + np.exp(-a / k)), 1 / (1 + np.exp(-b / k))
        cross_entropy = -q * np.log(p) - (1 - q) * np.log(1 - p)
        out.append(k**2 * (np.abs(p - q)**1.5 * cross_entropy).sum())
    return out


FORMULAS = dict(kd=kd, dkd=dkd, dist=dist, binary=binary, quality_focal=quality_focal)


def expected(name, s, t, labels, tau, weight, avg_factor):
    per_roi = FORMULAS[name](s.detach().numpy(), t.numpy(), labels.numpy(),
                             tau.detach().numpy().ravel())
    return (np.array(per_roi) * weight.numpy()).sum() / avg_factor
