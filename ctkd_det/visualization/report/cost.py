"""What the detectors cost: parameters, operations, size of the weights, time of the training."""
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Dict, List, Optional, Tuple

from ...first_line import first_line
from ...operations import flops, resize_shape
from .detectors import Detector, detector_of, teacher_detector
from .kept import digest, kept_json
from .methods import TEACHER, TEACHER_COLOUR, Method
from .runs import Missing
from .study import Study
from .study_predictions import distinct, representative

# of the kept files; to be raised when their content changes
_FORMAT = 3


@dataclass(frozen=True)
class Size:
    """How large a detector is.

    Attributes:
        parameters: Their number.
        weights: Bytes of all weights, as an exported student's file has them.
        operations: Multiply-additions for one image; None if they could not
            be counted.
        shape: Height and width of that image.
        note: Why they could not be counted; '' if they were, or if there is
            no size.
    """
    parameters: int
    weights: int
    operations: Optional[float]
    shape: Optional[Tuple[int, int]]
    note: str = ''


def costs(study: Study, num_images: int) -> Tuple[List[dict], List[str]]:
    """A row for each method and the teacher, and why sizes are left out.

    Args:
        study (Study): The runs.
        num_images (int): 0 if no detector is to be run; then there are only
            times.
    """
    found: Dict[str, Size] = {}
    notes: List[str] = []

    def size(make) -> Optional[Size]:
        if num_images < 1:
            return None
        try:
            return _size(make(), found, notes)
        except Missing as missing:
            notes.append(str(missing))
            return None

    rows = [dict(key=m.key, name=m.name, colour=m.colour, minutes=_minutes(m),
                 size=size(lambda m=m: detector_of(representative(m)))) for m in study.methods]
    if study.distilled and not study.teacher:
        teacher = size(lambda: teacher_detector(study))
        if teacher:
            rows.append(dict(key=TEACHER, name='teacher', colour=TEACHER_COLOUR, minutes=None,
                             size=teacher))
    return rows, distinct(notes)


def _minutes(method: Method) -> Optional[float]:
    """Of one training, the mean over those that have logged their time."""
    minutes = [run.minutes for run in method.runs if run.minutes is not None]
    return mean(minutes) if minutes else None


def _size(detector: Detector, found: Dict[str, Size], notes: List[str]) -> Size:
    """Each architecture is measured once; seeds and most methods share one.

    Why its operations are not known is added to ``notes``.

    Raises:
        Missing: if it cannot be built.
    """
    shape = resize_shape(dict(test_dataloader=detector.loader)) or _first_shape(detector, notes)
    key = digest(_FORMAT, detector.plain_model(), shape)
    if key not in found:
        stored = kept_json(detector.cache / f'size_{key}.json',
                           lambda: asdict(_measure(detector, shape)))
        found[key] = Size(**stored)
        if found[key].note:
            notes.append(found[key].note)
    return found[key]


def _first_shape(detector: Detector, notes: List[str]) -> Optional[Tuple[int, int]]:
    """Height and width of the first validation image, where the pipeline sets no size."""
    try:
        height, width = detector.dataset(1)[0]['inputs'].shape[-2:]
    except Exception as error:  # a user's data may fail in any way there is
        notes.append(f'The operations of {detector.name} are not counted: the size of its images '
                     f'is not known ({first_line(error)}).')
        return None
    return height, width


def _measure(detector: Detector, shape: Optional[Tuple[int, int]]) -> Size:
    model, operations, note = detector.architecture(), None, ''
    try:
        operations = flops(model, shape) if shape else None
    except Exception as error:  # a user's model may not be countable in any way there is
        note = f'The operations of {detector.name} could not be counted ({first_line(error)}).'
    return Size(sum(p.numel() for p in model.parameters()),
                sum(v.numel() * v.element_size() for v in model.state_dict().values()),
                operations, shape, note)
