"""AP of each class, and its difference from the baseline's."""
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Dict, List, Optional, Tuple

from .evaluation import logged_per_class
from .methods import Method
from .runs import Missing, TrainedRun
from .study import Study
from .study_predictions import StudyPredictions, distinct

PerClass = Dict[str, Optional[float]]
Differences = Dict[str, Tuple[float, float, float]]


@dataclass(frozen=True)
class ClassDifferences:
    """How the methods differ from the student alone in each class.

    Attributes:
        differences: Method -> class -> mean, lowest and highest difference
            over the seeds, in points.
        source: A sentence on where the values come from.
        notes: Reasons why runs or classes are left out.
    """
    differences: Dict[Method, Differences]
    source: str
    notes: List[str]


def per_class_differences(study: Study, predictions: StudyPredictions) -> ClassDifferences:
    """Differences in AP from the baseline.

    Logged values (``CocoMetric(classwise=True)``) are taken where every run
    has them, for they are of all images; else predictions are evaluated.

    Raises:
        Missing: if there is no baseline, nothing to compare, or no values.
    """
    if study.baseline is None:
        raise Missing('There is no baseline to compare with.')
    compared = [m for m in study.candidates if m.alone and m.alone is not m]
    if not compared:
        raise Missing('There is no run to compare with the baseline.')
    methods = dict.fromkeys(method for m in compared for method in (m.alone, m))
    runs = [run for method in methods for run in method.runs]
    logged = [logged_per_class(run) for run in runs]
    if all(logged):
        source = 'AP by class as logged in the last validation.'
        values, notes = {run.work_dir: found for run, found in zip(runs, logged, strict=True)}, []
    else:
        values, notes = _evaluated(runs, predictions)
        source = f'AP by class on {predictions.extent}, predicted for this report.'
    of = {m: [values[run.work_dir] for run in m.runs if run.work_dir in values] for m in methods}
    found = {m: _differences(of[m], of[m.alone]) for m in compared}
    found = {m: differences for m, differences in found.items() if differences}
    nothing = _without_objects(list(values.values()))
    if nothing:
        notes.append(f'No image has an object of {", ".join(nothing)}: no AP, and mAP is that of '
                     'the other classes.')
    if not found:
        raise Missing('No class has an AP for the baseline and another run; '
                      + ' '.join(notes))
    return ClassDifferences(found, source, notes)


def _evaluated(runs: List[TrainedRun],
               predictions: StudyPredictions) -> Tuple[Dict[Path, PerClass], List[str]]:
    """AP by class of each run, by its folder, and why some runs have none."""
    values: Dict[Path, PerClass] = {}
    notes: List[str] = []
    for run in runs:
        try:
            values[run.work_dir] = predictions.evaluation(run).per_class
        except Missing as missing:
            notes.append(str(missing))
    return values, distinct(notes)


def _without_objects(values: List[PerClass]) -> List[str]:
    """The classes that no run has an AP of."""
    names = dict.fromkeys(name for found in values for name in found)
    return [name for name in names if all(found.get(name) is None for found in values)]


def _differences(own: List[PerClass], base: List[PerClass]) -> Differences:
    """Mean, lowest and highest difference from the baseline's mean, by class, in points."""
    differences = {}
    for name in base[0] if base else ():
        theirs = [b[name] for b in base if b.get(name) is not None]
        values = [o[name] for o in own if o.get(name) is not None]
        if theirs and values:
            gaps = [value - mean(theirs) for value in values]
            differences[name] = (mean(gaps), min(gaps), max(gaps))
    return differences
