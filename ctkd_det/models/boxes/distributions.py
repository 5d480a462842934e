"""Box distributions of dense heads: which locations are compared, and how much each counts."""
from typing import Any, Dict, Sequence

import torch
from mmdet.models.task_modules.assigners import ATSSAssigner
from mmdet.structures.bbox import get_box_tensor
from mmdet.utils import reduce_mean
from torch import Tensor, nn

from ..dense import flat
from ..heads import dense_reader, is_object
from ..taps import DenseLogits
from .valuable_region import valuable_region

# the sources of losses that are read here
DISTRIBUTIONS = {'distributions', 'vlr'}


def num_bins(head: nn.Module) -> int:
    """Bins of the distribution that a dense head regresses for each side of a box.

    Raises:
        TypeError: if it regresses numbers.
    """
    reg_max = getattr(head, 'reg_max', None)
    if reg_max is None:
        raise TypeError(f'{type(head).__name__} regresses no distribution of its boxes (reg_max), '
                        "as GFLHead does, so LDLoss has nothing to compare")
    return reg_max + 1


def check_valuable_region(head: nn.Module) -> None:
    """Raise TypeError if a head does not assign objects by ATSS, which the region refers to."""
    assigner = getattr(head, 'assigner', None)
    # only a head that is to be trained has one
    if assigner is not None and not isinstance(assigner, ATSSAssigner):
        raise TypeError(f"LDLoss with source='vlr' refers to the threshold of ATSSAssigner, and "
                        f'{type(head).__name__} has a {type(assigner).__name__}')


def distribution_side(head: nn.Module, record: DenseLogits, samples: Sequence,
                      source: str) -> Dict[str, Any]:
    """What :class:`LDLoss` compares, of P chosen locations.

    The student's distributions are those of the crossed head, if there is one.

    Args:
        head (nn.Module): The student's.
        record (DenseLogits): Of this step, with the teacher's outputs.
        samples (Sequence[DetDataSample]): Of length B.
        source (str): Which locations, see :class:`LDLoss`.

    Returns:
        dict: ``student`` and ``teacher``, (4 P, bins) each; ``labels`` and
        ``weight``, (4 P,); ``avg_factor``, a scalar, the mean over all ranks.
    """
    bins = num_bins(head)
    chosen = is_object(record.labels, head.num_classes)
    logits = flat(dense_reader(head).logits(record.outputs), head.cls_out_channels)
    scores = logits.detach().float().sigmoid().amax(1) * chosen
    weight, labels = scores, record.labels
    if source == 'vlr':
        weight = _valuable(head, record, samples)
        chosen, labels = weight > 0, torch.full_like(labels, head.num_classes)
    # as GFL divides its box losses
    avg_factor = 4 * reduce_mean(scores.sum()).clamp(min=1)
    student, teacher = (flat(outputs[1], 4 * bins)[chosen].reshape(-1, bins)
                        for outputs in (record.crossed_outputs or record.outputs,
                                        record.teacher_outputs))
    return dict(student=student, teacher=teacher, avg_factor=avg_factor,
                labels=labels[chosen].repeat_interleave(4),
                weight=weight[chosen].repeat_interleave(4))


def _valuable(head: nn.Module, record: DenseLogits, samples: Sequence) -> Tensor:
    """The weight of every location in the valuable region, (N,)."""
    sizes = [tuple(shape[2:]) for shape in record.level_shapes]
    anchors = head.prior_generator.grid_priors(
        sizes, dtype=torch.float32, device=record.labels.device)
    counts, batch = [len(level) for level in anchors], len(samples)
    # what has no weight lies outside of the image or is ignored, and is assigned to nothing
    counted = torch.cat([part.view(batch, -1) for part in (record.label_weights > 0).split(
        [count * batch for count in counts])], 1)
    weights = torch.stack([
        valuable_region(torch.cat(anchors), counts, where,
                        get_box_tensor(sample.gt_instances.bboxes).float(), head.assigner.topk)
        for where, sample in zip(counted, samples, strict=True)])
    return torch.cat([part.reshape(-1) for part in weights.split(counts, 1)])
