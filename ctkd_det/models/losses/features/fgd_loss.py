"""Focal and global distillation."""
from typing import Any, Sequence, Tuple

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from ...precision import at_least_float32
from ..distill_loss import above_zero, at_least_zero
from .adapters import need_widths
from .base import FeatureLoss


@MODELS.register_module()
class FGDLoss(FeatureLoss):
    r"""FGD: foreground and background apart, attention, and relations of positions.

    .. math::
        A^S = HW \, \mathrm{softmax}(\mathrm{mean}_c |F| / T), \quad
        A^C = C \, \mathrm{softmax}(\mathrm{mean}_{hw} |F| / T)

        L = \sum_l \frac1B \sum \left[ (\alpha M^{fg} + \beta M^{bg}) A^S_t A^C_t (F_t - F_s)^2
        + \gamma (|A^S_t - A^S_s| + |A^C_t - A^C_s|)
        + \lambda (R_t(F_t) - R_s(F_s))^2 \right]

    :math:`M^{fg}` is at each position the largest 1 / area of the ground-truth
    boxes that cover it, :math:`M^{bg}` is 1 / the number of the others; R are
    trained blocks that add a context to each position, one for each side. Sums
    over channels and positions, divided by the images, summed over levels: the
    value grows with the image, and weights mean nothing at another size. The
    student gets a linear adapter where the widths differ.

    Source: "Focal and Global Knowledge Distillation for Detectors" (CVPR
    2022), eq. 5 to 13. Published for 800 x 1333 images: the defaults for
    two-stage detectors on P2 to P5; 1e-3, 5e-4, 5e-4 and 5e-6 for single-stage
    ones; both with gradients clipped at 35.

    Args:
        temperature (float): T, of the attention; it is not CTKD's, which
            divides logits. Defaults to 0.5.
        alpha (float): Weight of the foreground. Defaults to 5e-5.
        beta (float): Weight of the background. Defaults to 2.5e-5.
        gamma (float): Weight of the attention. Defaults to 5e-5.
        lambda_ (float): Weight of the relations. Defaults to 5e-7.
        **kwargs: See :class:`FeatureLoss`.
    """
    needs = ('boxes', 'image_shape')

    def __init__(self, *args: Any, temperature: float = 0.5, alpha: float = 5e-5,
                 beta: float = 2.5e-5, gamma: float = 5e-5, lambda_: float = 5e-7,
                 **kwargs: Any) -> None:
        if not isinstance(temperature, (int, float)):
            kwargs['temperature'] = temperature  # the base says where it goes
        super().__init__(*args, **kwargs)
        for student, teacher in self.widths:
            need_widths(student, teacher)
        self.tau = above_zero('FGDLoss: temperature', temperature)
        self.alpha, self.beta = at_least_zero('alpha', alpha), at_least_zero('beta', beta)
        self.gamma, self.lambda_ = at_least_zero('gamma', gamma), at_least_zero('lambda_', lambda_)
        self.student_contexts, self.teacher_contexts = (
            nn.ModuleList(_Context(width) for _, width in self.widths) for _ in range(2))

    def compare(self, i: int, s: Tensor, t: Tensor, boxes: Sequence[Tensor],
                image_shape: Tuple[float, float]) -> Tensor:
        """The loss of one level.

        Args:
            i (int): The level.
            s (Tensor): (B, C, H, W), the student's map.
            t (Tensor): (B, C', H, W), the teacher's.
            boxes (Sequence[Tensor]): Ground truth of each image, (n, 4), as
                x1, y1, x2, y2 in pixels.
            image_shape (tuple[float, float]): Height and width in pixels that
                the maps cover: the padded batch, or less of it if the teacher
                looks at another size.
        """
        s = self.adapt(i, s)
        positions_s, channels_s = self._attention(s)
        positions_t, channels_t = self._attention(t)
        foreground = box_mask(boxes, image_shape, t)
        background = (foreground == 0).to(t)
        background = background / background.sum((1, 2), keepdim=True).clamp(min=1)
        weight = (self.alpha * foreground + self.beta * background) * positions_t
        square = (s - t).square() * channels_t[:, :, None, None]
        focal = (weight * square.sum(1)).sum()
        attention = ((positions_t - positions_s).abs().sum()
                     + (channels_t - channels_s).abs().sum())
        relation = self._relation(i, s, t)
        total = focal + self.gamma * attention + self.lambda_ * relation
        return total / max(len(t), 1)

    def _relation(self, i: int, s: Tensor, t: Tensor) -> Tensor:
        dtype = self.student_contexts[i].attend.weight.dtype
        s, t = (at_least_float32(block(x.to(dtype))) for block, x in (
            (self.student_contexts[i], s), (self.teacher_contexts[i], t)))
        return (s - t).square().sum()

    def _attention(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        """A^S, (B, H, W), and A^C, (B, C)."""
        batch, channels, height, width = x.shape
        size = x.abs()
        positions = (size.mean(1).view(batch, -1) / self.tau).softmax(1)
        return (height * width * positions.view(batch, height, width),
                channels * (size.mean((2, 3)) / self.tau).softmax(1))


class _Context(nn.Module):
    """Adds to each position what the whole map says; at the start, nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = max(1, width // 2)
        self.attend = nn.Conv2d(width, 1, 1)
        self.transform = nn.Sequential(
            nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, width))
        nn.init.zeros_(self.transform[-1].weight)
        nn.init.zeros_(self.transform[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        share = self.attend(x).flatten(2).softmax(2)
        pooled = (x.flatten(2) * share).sum(2)
        return x + self.transform(pooled)[:, :, None, None]


def box_mask(boxes: Sequence[Tensor], image_shape: Tuple[float, float], like: Tensor) -> Tensor:
    """At each position the largest 1 / area of the boxes that cover it.

    Args:
        boxes (Sequence[Tensor]): Of each image (n, 4), in pixels.
        image_shape (tuple[float, float]): Height and width that the maps cover.
        like (Tensor): (B, C, H, W).

    Returns:
        Tensor: (B, H, W), 0 where there is no box. Areas count positions,
        the borders among them.
    """
    height, width = like.shape[2:]
    y, x = (torch.arange(n, device=like.device) for n in (height, width))
    # the product first: a border of the map then stays one, whatever the rounding
    scaled = torch.cat(list(boxes)).to(like) * like.new_tensor(
        [width, height] * 2) / like.new_tensor([image_shape[1], image_shape[0]] * 2)
    (x1, y1), (x2, y2) = scaled[:, :2].floor().t(), scaled[:, 2:].ceil().t()
    inverse = 1 / ((x2 - x1 + 1) * (y2 - y1 + 1))
    rows = ((y >= y1[:, None]) & (y <= y2[:, None])) * inverse[:, None]
    columns = ((x >= x1[:, None]) & (x <= x2[:, None])).to(like)
    counts = [len(image) for image in boxes]
    # image by image: all at once would take as much memory as there are boxes
    return torch.stack([
        (r[:, :, None] * c[:, None]).amax(0) if len(r) else like.new_zeros(height, width)
        for r, c in zip(rows.split(counts), columns.split(counts), strict=True)])
