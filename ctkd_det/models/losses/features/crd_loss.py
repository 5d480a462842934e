"""Contrastive representation distillation between the RoIs of a batch."""
from typing import Any, List, Optional

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn
from torchvision.ops import box_iou

from ...precision import at_least_float32
from ..distill_loss import above_zero
from ..draws import Draws
from ..weights import mean_over_ranks, weighted_mean
from .adapters import need_widths
from .base import FeatureLoss

# RoIs of one image that overlap more show the same thing
_SAME_PLACE = 0.5


@MODELS.register_module()
class CRDLoss(FeatureLoss):
    r"""CRD: an RoI's embedding is nearer to the teacher's of the same RoI than to others.

    .. math::
        h(i, j) = \frac{r_{ij}}{r_{ij} + K_i}, \quad
        r_{ij} = e^{g_i \cdot g'_j / \tau} / Z, \quad
        L = -\mathrm{mean}_i \Big[\log h(i, i) + \sum_{j \in J_i} \log (1 - h(i, j))\Big]

    g are embeddings of length 1; J_i are the K_i negatives of anchor i; Z is
    the mean of the exponential over the pairs of the first step that has any,
    and then fixed. L is summed over both directions: the student's embeddings
    as anchors, which trains student and its embedding, and the teacher's, which
    trains the teacher's embedding; the other side has no gradient. A sum over
    the negatives, a mean over the anchors of all ranks.

    Source: "Contrastive Representation Distillation" (ICLR 2020), eq. 18 and
    19 with N/M in the form that its code computes. The paper's negatives come
    from a memory with an entry for each training image, which RoIs cannot have:
    **this is not that memory**. Negatives are the RoIs of another label in the
    batch, and in a queue of the latest ones; RoIs that overlap the anchor by
    more than half are left out. No label has more RoIs in the pool than all
    others together: of a larger one, the background as a rule, so many are
    drawn. Published weight: 0.8 with 16384 negatives, on CIFAR; the value grows
    with their number. None with a detector.

    Args:
        embed_channels (int): Width of the embeddings. Defaults to 128.
        tau (float): Divides the cosines; it is not CTKD's temperature, which
            divides logits. Defaults to 0.07.
        queue_size (int): RoIs of the latest steps that are negatives, too.
            Defaults to 0, none.
        **kwargs: See :class:`FeatureLoss`.
    """
    source = 'roi'
    needs = ('stage', 'labels', 'rois')

    def __init__(self, *args: Any, embed_channels: int = 128, tau: float = 0.07,
                 queue_size: int = 0, **kwargs: Any) -> None:
        self.embed_channels = embed_channels  # before the adapters are built
        super().__init__(*args, **kwargs)
        if not queue_size >= 0:
            raise ValueError(f'CRDLoss: queue_size must be >= 0, got {queue_size}')
        self.tau, self.queue_size = above_zero('CRDLoss: tau', tau), queue_size
        self.draws = Draws()
        # of each stage log Z of both directions, and whether they are known
        stages = len(self.widths)
        self.register_buffer('log_z', torch.zeros(stages, 2))
        self.register_buffer('z_is_known', torch.zeros(stages, dtype=torch.long))
        # embeddings of the student and of the teacher; label -1 is an empty place
        self.register_buffer('queue', torch.zeros(stages, 2, queue_size, embed_channels))
        self.register_buffer('queue_labels', torch.full((stages, queue_size), -1))

    def build_adapter(self, student: Optional[int], teacher: Optional[int]) -> nn.Module:
        """The two embeddings."""
        need_widths(student, teacher)
        return nn.ModuleDict({side: nn.Linear(width, self.embed_channels)
                              for side, width in (('student', student), ('teacher', teacher))})

    def compare(self, i: int, s: Tensor, t: Tensor, labels: Tensor,
                rois: Optional[Tensor] = None) -> Tensor:
        """The loss.

        Args:
            i (int): The stage.
            s (Tensor): (N, D), the student's features.
            t (Tensor): (N, D'), the teacher's.
            labels (Tensor): (N,), the class of each RoI.
            rois (Tensor, optional): (N, 5), the image's index and x1, y1, x2,
                y2. Defaults to None, overlaps are not known.
        """
        embeddings = [F.normalize(self._embed(i, side, x), dim=1)
                      for side, x in (('student', s), ('teacher', t))]
        negatives = self._negatives(i, labels, rois)
        pairs = []
        # an anchor of one side meets the other side's
        for anchors, others, queued in zip(
                embeddings, embeddings[::-1], self.queue[i].flip(0), strict=True):
            others = torch.cat([others.detach(), queued.to(others)])
            pairs.append(anchors @ others.t() / self.tau)
        counted = negatives.to(pairs[0])  # once for all products
        log_z = self._log_z(i, pairs, counted)
        loss = sum(self._contrast(scores, z, counted)
                   for scores, z in zip(pairs, log_z, strict=True))
        if self.training:
            self._enqueue(i, embeddings, labels)
        return loss

    def _embed(self, i: int, side: str, x: Tensor) -> Tensor:
        layer = self.adapters[i][side]
        return at_least_float32(layer(x.to(layer.weight.dtype)))

    def _negatives(self, i: int, labels: Tensor, rois: Optional[Tensor]) -> Tensor:
        """(N, N + queue_size), which RoIs are negatives of which anchor."""
        same = labels[:, None] == labels
        # an order of each label's RoIs by chance; the first ones stay in the pool
        key = self.draws((len(labels), ), labels.device)
        place = (same & (key < key[:, None])).sum(1)
        in_pool = place < (~same).sum(1)
        negatives = ~same & in_pool
        if rois is not None:
            boxes = at_least_float32(rois)
            negatives &= ~((boxes[:, None, 0] == boxes[:, 0])
                           & (box_iou(boxes[:, 1:], boxes[:, 1:]) > _SAME_PLACE))
        queued = self.queue_labels[i]
        return torch.cat([negatives, (labels[:, None] != queued) & (queued >= 0)], 1)

    def _log_z(self, i: int, pairs: List[Tensor], negatives: Tensor) -> Tensor:
        """log Z of both directions, from the first step with negatives on."""
        # cosines are at most 1: the largest score is known, and nothing overflows
        top = 1 / self.tau
        exponentials = [(scores.detach() - top).exp_() for scores in pairs]
        sums = torch.stack([(x * negatives).sum() + x.diagonal().sum() for x in exponentials])
        usable = negatives.sum()
        counts = torch.stack([usable + len(negatives), usable])
        *sums, count, usable = mean_over_ranks(torch.cat([sums, counts]))
        fresh = (torch.stack(sums) / count.clamp(min=1e-6)).clamp(min=1e-30).log() + top
        first = (self.z_is_known[i] == 0) & (usable > 0)
        known = torch.where(first, fresh, self.log_z[i].to(fresh))
        if self.training:
            self.log_z[i] = known
            self.z_is_known[i] += first
        return known

    @staticmethod
    def _contrast(scores: Tensor, log_z: Tensor, negatives: Tensor) -> Tensor:
        """L of one direction; an anchor without negatives has nothing to tell."""
        count = negatives.sum(1, keepdim=True)
        usable = (count > 0).squeeze(1)
        log_odds = scores - (log_z + count.clamp(min=1).log())
        positive = F.softplus(-log_odds.diagonal()) * usable
        loss = positive + (F.softplus(log_odds) * negatives).sum(1)
        return weighted_mean(loss, usable.to(loss), usable.sum())

    @torch.no_grad()
    def _enqueue(self, i: int, embeddings: List[Tensor], labels: Tensor) -> None:
        new = torch.stack(embeddings).to(self.queue)
        self.queue[i] = torch.cat([new, self.queue[i]], 1)[:, :self.queue_size]
        self.queue_labels[i] = torch.cat([labels, self.queue_labels[i]])[:self.queue_size]
