"""AP of each class, and its difference from the baseline's."""
from statistics import mean
from typing import Dict, List, Optional, Tuple

from .evaluation import logged_per_class
from .looks import Looks
from .runs import Missing, TrainedRun
from .study import Method, Study

PerClass = Dict[str, Optional[float]]
Differences = Dict[str, Tuple[float, float, float]]


def per_class_differences(study: Study, looks: Looks) -> Tuple[Dict[str, Differences], str]:
    """Differences from the baseline by method and class, and a sentence on their source.

    Logged values (``CocoMetric(classwise=True)``) are taken where every run
    has them, for they are of all images; else predictions are evaluated.

    Raises:
        Missing: if there is no baseline, nothing to compare, or no values.
    """
    if study.baseline is None:
        raise Missing('There is no baseline to compare with.')
    methods = [study.baseline, *study.candidates]
    if len(methods) < 2 or study.candidates == [study.baseline]:
        raise Missing('There is no run to compare with the baseline.')
    runs = [run for method in methods for run in method.runs]
    logged = [logged_per_class(run) for run in runs]
    if all(logged):
        source = 'AP by class as logged in the last validation.'
        values = {run.name: found for run, found in zip(runs, logged, strict=True)}
    else:
        values, source = _evaluated(methods, looks)
    base = [values[run.name] for run in study.baseline.runs if run.name in values]
    found = {m.name: _differences([values[run.name] for run in m.runs if run.name in values], base)
             for m in study.candidates}
    found = {name: differences for name, differences in found.items() if differences}
    if not found:
        raise Missing('No class has an AP for the baseline and another run; '
                      + ' '.join(looks.notes))
    return found, source


def _evaluated(methods: List[Method], looks: Looks) -> Tuple[Dict[str, PerClass], str]:
    values: Dict[str, PerClass] = {}
    for run in _each(methods):
        try:
            values[run.name] = looks.evaluation(run).per_class
        except Missing as missing:
            looks.note(missing)
    return values, f'AP by class on {looks.extent}, predicted for this report.'


def _each(methods: List[Method]) -> List[TrainedRun]:
    return [run for method in methods for run in method.runs]


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
