"""The distillation losses of one step, once the student has computed its own."""
from typing import Any, Dict, List

from mmdet.structures import SampleList
from torch import Tensor

from ..losses import LogitLoss
from ..taps import Logits
from .log_values import log_values
from .sides import both_sides
from .zero import zero_of


def distillation_losses(detector: Any, images: Tensor, samples: SampleList, maps: List[Tensor],
                        records: List[Logits]) -> Dict[str, Tensor]:
    """Compare what the student has computed with what the teacher says of it.

    Args:
        detector (DistilledDetector): The student.
        images (Tensor): (B, 3, H, W), normalised for the student.
        samples (list[DetDataSample]): Of length B.
        maps (list[Tensor]): Of the student's neck.
        records (list[Logits]): Of each of its stages.

    Returns:
        dict[str, Tensor]: The losses, those of a learning teacher among them,
        and the statistics of temperatures, see :meth:`DistilledDetector.loss`.
    """
    results = {}
    if detector.teacher.learns:
        results = detector.teacher.learn(maps, detector.complete(records, images))
    active = [loss for loss in detector.distill_losses.values() if detector.is_active(loss)]
    # logits on rotated images need no plain ones; features are compared with those
    sources = {loss.source for loss in active if loss.source != 'logits' or not loss.rotated}
    sides = both_sides(detector, sources, images, samples, maps, records)
    rotated = [loss for loss in active if loss.rotated]
    if rotated:
        sides.update(detector.rotated_sides(images, samples, records, rotated))
    for name, loss in detector.distill_losses.items():
        stages = 1 if loss.source == 'neck' else len(records)
        keys = [f's{i}.{name}' for i in range(stages)] if stages > 1 else [name]
        if not detector.is_active(loss):
            results.update({key: zero_of(loss, images) for key in keys})
            continue
        weights = [1.0] if loss.source == 'neck' else detector.stage_weights
        statistics = []
        for key, weight, side in zip(keys, weights, sides[loss.side], strict=True):
            results[key] = weight * loss(
                side['student'], side['teacher'], **{need: side[need] for need in loss.needs})
            statistics.append(loss.statistics)
        results.update(log_values(
            name, loss.temperature.lambda_ if isinstance(loss, LogitLoss) else None, statistics))
    return results
