"""What the teacher knows and how much of it the students have learned."""
from dataclasses import dataclass
from typing import Dict, List, Sequence, Set

import numpy as np
import torch
from mmdet.registry import MODELS

from ...configs import known_class
from ...first_line import first_line
from ...log_names import parse_taus
from ...models.heads import has_sigmoids
from ...models.losses import LogitLoss
from .answers import answer, one_classifier
from .classes import class_mapping, map_logits
from .detectors import Detector
from .evaluation import annotations
from .kept import digest, file_state, kept_json
from .matching import ground_truth
from .predictions import Predictions
from .runs import Missing, TrainedRun

# images that are searched for telling objects
_IMAGES = 24


@dataclass
class AnnotatedRoIs:
    """R annotated objects as RoIs: image index and box (R, 5), label (R,)."""
    rois: np.ndarray
    labels: np.ndarray


def find_objects(predictions: Predictions) -> AnnotatedRoIs:
    """Every annotated object on the first images."""
    coco = annotations(predictions.ann_file)
    rois, labels = [], []
    for index in range(min(_IMAGES, len(predictions.image_ids))):
        objects = ground_truth(coco, predictions, index)
        rois += [[index, *box] for box in objects.bboxes]
        labels += objects.labels.tolist()
    return AnnotatedRoIs(np.array(rois, dtype=np.float32).reshape(-1, 5),
                         np.array(labels, dtype=int))


def logits(detector: Detector, objects: AnnotatedRoIs, device: str,
           classes: Sequence[str]) -> np.ndarray:
    """What the detector says of the objects, kept for the next report.

    Returns:
        ndarray: Logits (R, C+1) of the C ``classes`` of the data and the
        background, or (R, C) of a head with sigmoids; see
        :mod:`ctkd_det.visualization.report.answers`.

    Raises:
        Missing: if its head does not answer for one object, fails, or knows
            other classes.
    """
    key = digest(detector.model, file_state(detector.checkpoint), objects.rois.tolist(),
                 list(classes), detector.source)
    answers = kept_json(detector.cache / f'logits_{key}.json',
                        lambda: _ask(detector, objects, device, classes).tolist())
    return np.array(answers, dtype=np.float32)


def _ask(detector: Detector, objects: AnnotatedRoIs, device: str,
         classes: Sequence[str]) -> np.ndarray:
    model, dataset = detector.build(device), detector.dataset(_IMAGES)
    head = one_classifier(detector.name, model)
    mapping = class_mapping(detector, model, classes)
    answers = []
    try:
        for index in sorted(set(objects.rois[:, 0].astype(int))):
            boxes = objects.rois[objects.rois[:, 0] == index, 1:]
            answers.append(answer(model, dataset[index], torch.from_numpy(boxes)))
    except Exception as error:  # a user's head may want to be asked in another way
        raise Missing(f'{detector.name} does not classify the objects '
                      f'({first_line(error)}).') from error
    result = map_logits(mapping, torch.cat(answers).float().cpu().numpy())
    background = not has_sigmoids(head)
    if result.shape[1] != len(classes) + background:
        raise Missing(f'{detector.name} has {result.shape[1]} logits for each box, not one for '
                      f'each of {len(classes)} classes'
                      f'{" and one for the background" if background else ""}.')
    return result


def softened(z: np.ndarray, tau: np.ndarray, num_classes: int) -> np.ndarray:
    """Probabilities at temperatures (R,).

    Args:
        z (ndarray): Logits, (R, C+1) for softmax(z / tau), (R, C) for
            sigmoid(z / tau).
        tau (ndarray): Temperatures, (R,).
        num_classes (int): C.
    """
    z = z / tau[:, None]
    if z.shape[1] == num_classes:
        return 1 / (1 + np.exp(-z))
    powers = np.exp(z - z.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def learned_tau(run: TrainedRun, labels: np.ndarray) -> np.ndarray:
    """The run's last temperature for objects of these labels, (R,).

    The class's own where there is one, else that of foreground RoIs, else
    the mean over a batch (and over both sides, where student and teacher have
    one each). With several losses, the first one between
    classification logits that logs a temperature; 1 if none does.
    """
    others = _other_losses(run)
    taus = [tau for tau in parse_taus(run.scalars).values() if tau.loss not in others]
    last = {tau.part: run.scalars[tau.name][1][-1] for tau in taus if tau.loss == taus[0].loss}
    common = last.get('foreground', last.get('mean', 1.0))
    return np.array([last.get(f'class_{label}', common) for label in labels])


def _other_losses(run: TrainedRun) -> Set[str]:
    """Short names of the losses that are known to compare no classification logits."""
    kinds = {name: known_class(MODELS, cfg.get('type')) for name, cfg in run.losses.items()}
    return {name for name, kind in kinds.items() if kind and (
        not issubclass(kind, LogitLoss) or kind.source != 'logits')}


def most_telling(p: np.ndarray, labels: np.ndarray, num_classes: int, number: int) -> List[int]:
    """Objects that tell most: the teacher is right, yet thinks of other classes too.

    Sorted by what it gives to the classes that are neither the object's nor
    the background; of each class one.

    Args:
        p (ndarray): The teacher's probabilities at temperature 1, see
            :func:`softened`.
        labels (ndarray): The objects', (R,).
        num_classes (int): C.
        number (int): How many objects to choose, at most.
    """
    rows = np.arange(len(p))
    right = p.argmax(1) == labels
    others = np.where(right, p[:, :num_classes].sum(1) - p[rows, labels], -1)
    chosen: Dict[int, int] = {}
    for row in np.argsort(-others, kind='stable'):
        if right[row]:
            chosen.setdefault(int(labels[row]), int(row))
    return list(chosen.values())[:number]
