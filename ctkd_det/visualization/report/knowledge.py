"""What the teacher knows and how much of it the students have learned."""
from dataclasses import dataclass
from typing import Dict, List, Sequence, Set

import numpy as np
import torch
from mmdet.registry import MODELS
from torch import Tensor

from ...configs import registered_class
from ...log_names import parse_taus, short_name
from ...models.heads import has_sigmoids, roi_stages
from ...models.losses import LogitLoss
from .classes import class_mapping, classifier, map_logits
from .detectors import Detector
from .evaluation import annotations
from .kept import digest, file_state, kept_json
from .matching import ground_truth
from .predictions import Predictions
from .runs import Missing, TrainedRun, first_line

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
    """The detector's logits on the objects' boxes, kept for the next report.

    Returns:
        ndarray: (R, C+1) of the C ``classes`` of the data and the background.

    Raises:
        Missing: if its head does not answer for given RoIs, fails, has
            sigmoids, that is no distribution over classes, or knows other
            classes.
    """
    key = digest(detector.model, file_state(detector.checkpoint), objects.rois.tolist(),
                 list(classes), detector.source)
    answers = kept_json(detector.cache / f'logits_{key}.json',
                        lambda: _ask(detector, objects, device, classes).tolist())
    return np.array(answers, dtype=np.float32)


def _ask(detector: Detector, objects: AnnotatedRoIs, device: str,
         classes: Sequence[str]) -> np.ndarray:
    model, dataset = detector.build(device), detector.dataset(_IMAGES)
    _check(detector, model)
    mapping = class_mapping(detector, model, classes)
    answers = []
    try:
        for index in sorted(set(objects.rois[:, 0].astype(int))):
            boxes = objects.rois[objects.rois[:, 0] == index, 1:]
            answers.append(_answer(model, dataset[index], torch.from_numpy(boxes)))
    except Exception as error:  # a user's head may want to be asked in another way
        raise Missing(f'{detector.name} does not classify given boxes '
                      f'({first_line(error)}).') from error
    result = map_logits(mapping, np.concatenate(answers))
    if result.shape[1] != len(classes) + 1:
        raise Missing(f'{detector.name} has {result.shape[1]} logits for each box, not one for '
                      f'each of {len(classes)} classes and one for the background.')
    return result


def _check(detector: Detector, model: torch.nn.Module) -> None:
    """Whether the head can be asked about boxes, and answers with a distribution.

    Raises:
        Missing: if not.
    """
    roi_head = getattr(model, 'roi_head', None)
    try:
        stages = [] if roi_head is None else roi_stages(roi_head)
    except TypeError:
        stages = []
    if len(stages) != 1:
        raise Missing(f'{detector.name} is not shown, because only RoI heads with one classifier '
                      'can be asked about given boxes: it is a '
                      f'{type(roi_head or model).__name__}.')
    if has_sigmoids(classifier(model)):
        raise Missing(f'{detector.name} has a head with sigmoids, which gives no distribution '
                      'over the classes.')


@torch.no_grad()
def _answer(model: torch.nn.Module, item: dict, boxes: Tensor) -> np.ndarray:
    data = model.data_preprocessor(dict(inputs=[item['inputs']],
                                        data_samples=[item['data_samples']]), False)
    scale = torch.tensor(item['data_samples'].scale_factor, dtype=torch.float32).repeat(2)
    rois = torch.cat([torch.zeros(len(boxes), 1), boxes * scale], dim=1)
    features = model.extract_feat(data['inputs'])
    return model.roi_head._bbox_forward(features, rois.to(data['inputs'].device))[
        'cls_score'].float().cpu().numpy()


def softened(z: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """softmax(z / tau) of logits (R, C+1) and temperatures (R,)."""
    z = z / tau[:, None]
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
    losses = run.config.get('model', {}).get('distill_losses') or {}
    kinds = {short_name(name): registered_class(MODELS, cfg.get('type', ''))
             for name, cfg in losses.items() if isinstance(cfg, dict)}
    return {name for name, kind in kinds.items() if kind and (
        not issubclass(kind, LogitLoss) or kind.source != 'logits')}


def most_telling(teacher: np.ndarray, labels: np.ndarray, number: int) -> List[int]:
    """Objects that tell most: the teacher is right, yet thinks of other classes too.

    Sorted by the probability at temperature 1 that it gives to the classes
    that are neither the object's nor the background; of each class one.
    """
    p = softened(teacher, np.ones(len(teacher)))
    rows = np.arange(len(p))
    right = p.argmax(1) == labels
    others = np.where(right, 1 - p[rows, labels] - p[:, -1], -1)
    chosen: Dict[int, int] = {}
    for row in np.argsort(-others, kind='stable'):
        if right[row]:
            chosen.setdefault(int(labels[row]), int(row))
    return list(chosen.values())[:number]
