"""Predictions and metrics of the study's detectors, made when first asked for."""
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Union

from .detectors import Detector, detector_of, teacher_detector
from .evaluation import Evaluation, evaluate
from .methods import Method
from .predictions import Predictions, predict
from .runs import Missing, TrainedRun
from .study import Study


@dataclass(frozen=True)
class TeacherMetrics:
    """What the teacher scores on validation images.

    Attributes:
        metrics: In %, None where there is nothing to measure.
        images: Which images, for a sentence.
        complete: Whether these are all of them; only then can the metrics be
            compared with those that a training has logged.
    """
    metrics: Dict[str, Optional[float]]
    images: str
    complete: bool


class StudyPredictions:
    """What each detector of a study predicts on the first validation images.

    Args:
        study (Study): The runs.
        num_images (int): How many images, at most; 0 for none.
        device (str): Where detectors run.
    """

    def __init__(self, study: Study, num_images: int, device: str) -> None:
        self.study, self.num_images, self.device = study, num_images, device
        self._predictions: Dict[str, Union[Predictions, Missing]] = {}

    def of_run(self, run: TrainedRun) -> Predictions:
        """Predictions of a run.

        Raises:
            Missing: as :func:`predict`.
        """
        return self._made_once(str(run.work_dir), lambda: detector_of(run))

    def of_teacher(self) -> Predictions:
        """Predictions of the teacher.

        Raises:
            Missing: as :func:`predict` and :func:`teacher_detector`.
        """
        return self._made_once('teacher', lambda: teacher_detector(self.study))

    def evaluation(self, run: TrainedRun) -> Evaluation:
        """Metrics of a run on those images.

        Raises:
            Missing: as :func:`predict`.
        """
        return evaluate(self.of_run(run))

    def teacher_metrics(self) -> TeacherMetrics:
        """Metrics of the teacher on those images.

        Raises:
            Missing: as :meth:`of_teacher`.
        """
        predictions = self.of_teacher()
        return TeacherMetrics(evaluate(predictions).metrics, predictions.extent,
                              predictions.complete)

    @property
    def extent(self) -> str:
        """str: Which images were looked at, for a sentence."""
        sets = [p for p in self._predictions.values() if isinstance(p, Predictions)]
        return sets[0].extent if sets else 'no images'

    def _made_once(self, key: str, make: Callable[[], Detector]) -> Predictions:
        if self.num_images < 1:
            raise Missing('No detector was run, as --val-images 0 says.')
        if key not in self._predictions:
            try:
                self._predictions[key] = predict(make(), self.num_images, self.device)
            except Missing as missing:  # not to be tried again
                self._predictions[key] = missing
        found = self._predictions[key]
        if isinstance(found, Missing):
            raise found
        return found


def representative(method: Method) -> TrainedRun:
    """The first of a method's runs that has a checkpoint.

    Raises:
        Missing: if none has.
    """
    for run in method.runs:
        if run.last_checkpoint:
            return run
    raise Missing(f'No run of {method.name} has a checkpoint.')


def distinct(notes: List[str]) -> List[str]:
    """Each sentence once, in order."""
    return list(dict.fromkeys(notes))
