"""Predictions and metrics of the study's detectors, made when first asked for."""
from typing import Dict, List, Optional

from .detectors import Detector, detector_of, teacher_detector
from .evaluation import Evaluation, evaluate
from .predictions import Predictions, predict
from .runs import Missing, TrainedRun
from .study import Method, Study


class Looks:
    """What each detector sees on the first validation images.

    Args:
        study (Study): The runs.
        num_images (int): How many images, at most; 0 for none.
        device (str): Where detectors run.
    """

    def __init__(self, study: Study, num_images: int, device: str) -> None:
        self.study, self.num_images, self.device = study, num_images, device
        self.notes: List[str] = []
        self._predictions: Dict[str, object] = {}
        self._evaluations: Dict[str, Evaluation] = {}

    def note(self, missing: Missing) -> None:
        """Remember a reason, once."""
        if str(missing) not in self.notes:
            self.notes.append(str(missing))

    def take_notes(self) -> List[str]:
        """The reasons since the last call."""
        notes, self.notes = self.notes, []
        return notes

    def run(self, run: TrainedRun) -> Predictions:
        """Predictions of a run.

        Raises:
            Missing: as :func:`predict`.
        """
        return self._look(str(run.work_dir), lambda: detector_of(run))

    def teacher(self) -> Predictions:
        """Predictions of the teacher.

        Raises:
            Missing: as :func:`predict` and :func:`teacher_detector`.
        """
        return self._look('teacher', lambda: teacher_detector(self.study))

    def evaluation(self, run: TrainedRun) -> Evaluation:
        """Metrics of a run on those images."""
        key = str(run.work_dir)
        if key not in self._evaluations:
            self._evaluations[key] = evaluate(self.run(run))
        return self._evaluations[key]

    def teacher_metrics(self) -> Optional[Dict[str, Optional[float]]]:
        """The teacher's metrics if it is not among the runs and every image was looked at.

        On fewer images they could not be compared with the students' logged ones.
        """
        if self.study.teacher or not self.study.distilled:
            return None
        try:
            predictions = self.teacher()
            metrics = evaluate(predictions).metrics if predictions.complete else None
        except Missing as missing:
            self.note(Missing(f'There is no distance to the teacher. {missing}'))
            return None
        if metrics is None:
            self.note(Missing(
                f'There is no distance to the teacher, because it was shown '
                f'{len(predictions.image_ids)} of {predictions.total} validation images: raise '
                '--val-images, or name its work directory with --teacher.'))
            return None
        return metrics

    @property
    def extent(self) -> str:
        """str: Which images were looked at, for a sentence."""
        sets = [p for p in self._predictions.values() if isinstance(p, Predictions)]
        if not sets:
            return 'no images'
        if sets[0].complete:
            return f'all {sets[0].total} validation images'
        return f'the first {len(sets[0].image_ids)} of {sets[0].total} validation images'

    def detector(self, method: Method) -> Detector:
        """A method's first run that has a checkpoint, as a detector.

        Raises:
            Missing: if none has.
        """
        return detector_of(self.representative(method))

    @staticmethod
    def representative(method: Method) -> TrainedRun:
        """The first of a method's runs that has a checkpoint.

        Raises:
            Missing: if none has.
        """
        for run in method.runs:
            try:
                run.checkpoint  # noqa: B018  (raises if there is none)
                return run
            except Missing:
                continue
        raise Missing(f'No run of {method.name} has a checkpoint.')

    def _look(self, key: str, make) -> Predictions:
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
