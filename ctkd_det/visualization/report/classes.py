"""A detector's labels and logits in the order of the validation data's classes."""
from typing import Optional, Sequence

import numpy as np
import torch
from torch import nn

from ...models.heads import box_head, has_sigmoids
from ...models.teachers import TeacherError
from ...models.teachers.classes import ClassMapping, classes_of_config
from .detectors import Detector
from .runs import Missing


def class_mapping(detector: Detector, model: nn.Module,
                  classes: Sequence[str]) -> Optional[ClassMapping]:
    """By name from a teacher's classes to those of the data; None if they are the same.

    The teacher's are those that its checkpoint states, else its config, as in
    training. A student's labels are those of its data.

    Raises:
        Missing: if they differ and the names are not known, or the teacher
            lacks some.
    """
    head = box_head(model)
    number = getattr(head, 'num_classes', None)
    if detector.source is None or number is None:
        return None
    names = model.dataset_meta.get('classes') or classes_of_config(detector.source, number)
    if number == len(classes) and (names is None or tuple(names) == tuple(classes)):
        return None
    try:
        mapping = ClassMapping('by_name', str(detector.checkpoint), names, number, len(classes),
                               has_sigmoids(head))
        mapping.settle(classes)
    except TeacherError as error:
        raise Missing(f'{detector.name} knows other classes than the validation data '
                      f'({str(error).splitlines()[0]}).') from error
    return mapping


def map_labels(mapping: Optional[ClassMapping], labels: np.ndarray) -> np.ndarray:
    """The data's label for each of the detector's, -1 for classes that the data lacks."""
    if mapping is None:
        return labels
    table = np.full(mapping.num_teacher, -1, dtype=labels.dtype)
    table[mapping.columns[:mapping.num_student].numpy()] = np.arange(mapping.num_student)
    return table[labels]


def map_logits(mapping: Optional[ClassMapping], logits: np.ndarray) -> np.ndarray:
    """The data's columns, and that of the background, of logits (R, C_t + 1)."""
    return logits if mapping is None else mapping(torch.from_numpy(logits)).numpy()
