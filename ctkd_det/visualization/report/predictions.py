"""What a detector finds on validation images, kept in its work directory."""
import json
from dataclasses import dataclass
from pathlib import Path
from typing import List, Tuple, Union

import numpy as np
import torch
from mmengine.fileio import join_path
from mmengine.runner import Runner
from rich.progress import track

from ...datasets.folders import folder_of, is_inside
from ...first_line import first_line
from .classes import class_mapping, map_labels
from .detectors import Detector
from .kept import digest, file_state, keep
from .runs import Missing

# of the kept files; to be raised when their content changes
_FORMAT = 3
_ARRAYS = ('image', 'bboxes', 'labels', 'scores')


@dataclass
class Predictions:
    """K detections on M images, boxes in pixels of the files.

    Paths are as the data set has them. Those of a project's own folder are relative, and stay right
    when it is moved.

    Attributes:
        image: (K,) index of the detection's image.
        bboxes: (K, 4) as x1, y1, x2, y2.
        labels: (K,) index of the class in ``classes``.
        scores: (K,).
        image_ids: M ids of the annotation file, numbers or texts.
        paths: M paths of the images.
        classes: Names by label.
        cat_ids: Ids of the annotation file by label.
        ann_file: The annotation file.
        image_folder: The folder that the file names are relative to.
        total: Number of images in the whole validation set.
    """
    image: np.ndarray
    bboxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    image_ids: List[Union[int, str]]
    paths: List[str]
    classes: List[str]
    cat_ids: List[int]
    ann_file: str
    image_folder: str
    total: int

    @property
    def complete(self) -> bool:
        """bool: Whether they are of the whole validation set."""
        return len(self.image_ids) == self.total

    @property
    def extent(self) -> str:
        """str: Which images they are of, for a sentence."""
        if self.complete:
            return f'all {self.total} validation images'
        return f'the first {len(self.image_ids)} of {self.total} validation images'

    def inside_data_folder(self, index: int) -> bool:
        """Whether an image's file name stays in the data folder, links not followed."""
        return is_inside(self.paths[index], self.image_folder)

    def of(self, index: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes (k, 4), labels (k,) and scores (k,) on one of the M images."""
        here = self.image == index
        return self.bboxes[here], self.labels[here], self.scores[here]


def predict(detector: Detector, num_images: int, device: str) -> Predictions:
    """Detections on the first images of the validation set.

    They are made once; as long as checkpoint, config and annotations stay the
    same, the next report reads them from ``detector.cache``.

    Raises:
        Missing: if model or data are absent or fail.
    """
    file = detector.cache / f'{detector.checkpoint.stem}_{_key(detector, num_images)}.npz'
    if file.exists():
        return _load(file)
    predictions = _predict(detector, num_images, device)
    _save(predictions, file)
    return predictions


def _predict(detector: Detector, num_images: int, device: str) -> Predictions:
    dataset = detector.dataset()
    total = len(dataset)
    dataset = detector.dataset(min(num_images, total))
    if not hasattr(dataset, 'cat_ids'):
        raise Missing(f'The validation data of {detector.name} are no COCO data.')
    model = detector.build(device)
    classes = list(dataset.metainfo['classes'])
    mapping = class_mapping(detector, model, classes)
    found = []
    try:
        loader = Runner.build_dataloader(dict(detector.loader, dataset=dataset), seed=0)
        with torch.no_grad():
            for batch in track(loader, f'{detector.name}: looking at {len(dataset)} images'):
                found += [sample.cpu() for sample in model.test_step(batch)]
    except Exception as error:  # a user's model or data may fail in any way there is
        raise Missing(f'{detector.name} failed on its validation data '
                      f'({first_line(error)}).') from error
    instances = [sample.pred_instances for sample in found]
    image = np.repeat(np.arange(len(found)), [len(i) for i in instances])
    bboxes, labels, scores = (np.concatenate([getattr(i, name).numpy() for i in instances])
                              for name in ('bboxes', 'labels', 'scores'))
    labels = map_labels(mapping, labels)
    if len(labels) and labels.max() >= len(classes):
        raise Missing(f'{detector.name} found an object of class {labels.max()}, but its '
                      f'validation data have {len(classes)} classes.')
    known = labels >= 0
    return Predictions(
        image[known], bboxes[known], labels[known], scores[known],
        image_ids=[sample.img_id for sample in found],
        paths=[sample.img_path for sample in found],
        classes=classes, cat_ids=list(dataset.cat_ids),
        ann_file=dataset.ann_file,
        image_folder=folder_of(dataset),
        total=total)


def _key(detector: Detector, num_images: int) -> str:
    """Changes with whatever the predictions depend on."""
    dataset = detector.loader['dataset']
    ann_file = join_path(dataset.get('data_root') or '', dataset.get('ann_file') or '')
    return digest(_FORMAT, detector.model, dataset, file_state(Path(detector.checkpoint)),
                  file_state(Path(ann_file)), num_images, detector.source)


def _save(predictions: Predictions, file: Path) -> None:
    meta = {key: value for key, value in vars(predictions).items() if key not in _ARRAYS}
    arrays = {name: getattr(predictions, name) for name in _ARRAYS}
    keep(file, lambda partial: np.savez_compressed(partial, meta=json.dumps(meta), **arrays))


def _load(file: Path) -> Predictions:
    with np.load(file, allow_pickle=False) as stored:
        return Predictions(**{name: stored[name] for name in _ARRAYS},
                           **json.loads(str(stored['meta'])))
