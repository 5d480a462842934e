"""Whether an ONNX file detects what mmdet detects."""
import time
from dataclasses import dataclass, field
from typing import Dict, List, Tuple

import click
import numpy as np
import torch
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from torch import nn

from ctkd_det.deploy import DeployedDetector, Limits
from ..mistakes import sentence
from .detections import Detections, mean_ap
from .onnx_data import Images, as_given

# what the same detection may differ by: pixels of the file, score, points of mAP
PIXELS, SCORE, POINTS = 0.5, 1e-3, 0.05
# of the detections: those that hang on the last bit, as an overlap at NMS's threshold
UNMATCHED = 0.005
# of the masks' pixels
MASK = 0.01


@dataclass
class Measured:
    """What one way of running a detector gives.

    Attributes:
        found: Detections of each image.
        seconds: Of one image, the median.
        mean_ap: mAP in points, by what it is of.
    """
    found: List[Detections]
    seconds: float
    mean_ap: Dict[str, float] = field(default_factory=dict)


@dataclass
class Agreement:
    """How far two ways of running a detector agree.

    Attributes:
        detections: Number of both.
        unmatched: Those without a partner of the same label, place and score.
        pixels: The largest difference of matched boxes.
        score: The largest difference of matched scores.
        differing: Pixels in which matched masks differ.
        masked: Pixels of their unions.
    """
    detections: int = 0
    unmatched: int = 0
    pixels: float = 0.0
    score: float = 0.0
    differing: int = 0
    masked: int = 0

    @property
    def mask(self) -> float:
        """float: The share of pixels in which matched masks differ."""
        return self.differing / max(self.masked, 1)

    @property
    def holds(self) -> bool:
        """bool: Whether it is close enough to be called the same detector."""
        return self.unmatched <= UNMATCHED * self.detections and self.mask <= MASK


def run_pytorch(model: nn.Module, images: Images, most: int) -> Measured:
    """Detect as mmdet's test does; ``most`` of each image, which YOLOX alone exceeds."""
    found, seconds = [], []
    for _, data in images:
        start = time.perf_counter()
        with torch.no_grad():
            instances = model.test_step(data)[0].pred_instances
        seconds.append(time.perf_counter() - start)
        instances = instances[:most]
        found.append(Detections(*(instances[key].cpu().numpy() for key in (
            'bboxes', 'scores', 'labels')),
            instances.masks.cpu().numpy() if 'masks' in instances else None))
    return _measured(found, seconds, images)


def run_onnx(session, detector: DeployedDetector, images: Images) -> Measured:
    """Detect with ONNX Runtime; boxes and masks as of the file's pixels.

    Raises:
        click.ClickException: if an image cannot be given to the file, or the
            file does not run on it.
    """
    found, seconds = [], []
    for image, data in images:
        # outside of the clock, as what feeds the file does it there
        given, sample = as_given(image, detector), data['data_samples'][0]
        start = time.perf_counter()
        try:
            found_here = session.run(None, dict(images=given))
        except Exception as error:  # those of ONNX Runtime have no class in common
            raise click.ClickException(
                f'ONNX Runtime cannot run the file on {sample.get("img_path", "an image")}: '
                f'{sentence(error)}') from error
        seconds.append(time.perf_counter() - start)
        boxes, scores, labels, *masks = (out[0] for out in found_here)
        there = labels >= 0
        boxes = boxes[there] / np.tile(np.float32(sample.scale_factor), 2)
        found.append(Detections(boxes, scores[there], labels[there], _pasted(
            masks[0][there], boxes, sample.ori_shape, detector) if masks else None))
    return _measured(found, seconds, images)


def _pasted(masks: np.ndarray, boxes: np.ndarray, shape: Tuple[int, int],
            detector: DeployedDetector) -> np.ndarray:
    """Masks (N, h, w) within boxes, as truth values (N, H, W) of the image."""
    if not len(masks):
        return np.zeros((0, *shape), bool)
    threshold = detector.model.roi_head.test_cfg.mask_thr_binary
    return np.stack([(_do_paste_mask(
        torch.from_numpy(mask)[None, None], torch.from_numpy(box)[None], *shape,
        skip_empty=False)[0][0] >= threshold).numpy()
        for mask, box in zip(masks, boxes, strict=True)])


def _measured(found: List[Detections], seconds: List[float], images: Images) -> Measured:
    kinds = ['bbox'] + ['segm'] * (found[0].masks is not None)
    return Measured(found, float(np.median(seconds)), {
        kind: mean_ap(found, images, kind) for kind in kinds})


def agreement(theirs: Measured, ours: Measured, limits: Limits) -> Agreement:
    """Match detections one to one by label, place and score.

    A detection whose score is within the tolerance of the threshold, or of the
    last one of a full list, may be missing on one side: it is not counted.
    """
    result = Agreement()
    for a, b in zip(theirs.found, ours.found, strict=True):
        _match(a, b, limits, result)
    return result


def _match(a: Detections, b: Detections, limits: Limits, result: Agreement) -> None:
    result.detections += max(len(a), len(b))
    free = np.ones(len(b), bool)
    missing = np.zeros(len(a), bool)
    for i in range(len(a)):
        pixels = np.abs(b.boxes - a.boxes[i]).max(1, initial=0)
        score = np.abs(b.scores - a.scores[i])
        fit = free & (b.labels == a.labels[i]) & (pixels <= PIXELS) & (score <= SCORE)
        if not fit.any():
            missing[i] = True
            continue
        j = int(np.where(fit, pixels, np.inf).argmin())
        free[j] = False
        result.pixels = max(result.pixels, float(pixels[j]))
        result.score = max(result.score, float(score[j]))
        if a.masks is not None and b.masks is not None:
            result.masked += int((a.masks[i] | b.masks[j]).sum())
            result.differing += int((a.masks[i] ^ b.masks[j]).sum())
    is_full = max(len(a), len(b)) >= limits.most
    edge = min(d.scores.min(initial=1) for d in (a, b)) if is_full else limits.score
    # far below the threshold as well: there are those that a centerness has made small
    alone = np.concatenate([a.scores[missing], b.scores[free]])
    result.unmatched += int((np.abs(alone - edge) > SCORE).sum())
