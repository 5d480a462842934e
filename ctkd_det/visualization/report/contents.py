"""Collects what the page shows; what cannot be had is replaced by the reason."""
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional

import numpy as np

from . import figures, knowledge
from .cost import costs
from .detectors import detector_of, teacher_detector
from .evaluation import annotations
from .gallery import build_gallery
from .methods import TEACHER_COLOUR, Method
from .per_class import per_class_differences
from .pictures import crop, data_uri, read_picture
from .predictions import Predictions
from .results import headline, results
from .runs import Missing
from .settings import config_differences, environment
from .study import Study
from .study_predictions import StudyPredictions, TeacherMetrics, distinct, representative
from .table_csv import table_csv
from .temperature_words import temperature_words

# methods beside one another in gallery and bars; more would not be readable
_SIDE_BY_SIDE = 3
_OBJECTS = 4
_CROP = 160


@dataclass
class Options:
    """What the caller chooses; see :func:`write_report`."""
    images: int
    val_images: int
    score_thr: float
    device: str


def collect(study: Study, options: Options) -> Dict[str, Any]:
    """The template's variables."""
    predictions = StudyPredictions(study, options.val_images, options.device)
    notes = list(study.notes)
    teacher: Optional[TeacherMetrics] = None
    if study.distilled and not study.teacher:
        try:
            teacher = predictions.teacher_metrics()
        except Missing as missing:
            notes.append(f'There is no distance to the teacher. {missing}')
    if teacher and not teacher.complete:
        notes.append(f'The teacher was shown {teacher.images} only, so its numbers are not '
                     "comparable with the students': raise --val-images, or name its work "
                     'directory with --teacher.')
    rows = results(study, teacher)
    cost_rows, cost_notes = costs(study, options.val_images)
    titles, versions = environment(study)
    return dict(
        headline=headline(rows), rows=rows, metrics=study.metrics, notes=notes,
        legend=[dict(key=m.key, method=m) for m in study.methods],
        num_runs=sum(len(m.runs) for m in study.methods), baseline=study.baseline,
        costs=cost_rows, cost_notes=cost_notes, csv=table_csv(rows, cost_rows),
        curves=figures.metric_figures(study), temperature=figures.temperature_figure(study),
        temperature_words=temperature_words(study),
        losses=figures.loss_figures(study),
        per_class=_or_reason(lambda: _per_class(study, predictions)),
        gallery=_or_reason(lambda: _gallery(study, predictions, options)),
        knowledge=_or_reason(lambda: _knowledge(study, predictions)),
        differences=config_differences(study), methods=study.methods,
        environment=dict(titles=titles, rows=versions))


def _or_reason(build: Callable[[], dict]) -> dict:
    """What ``build`` returns, or the reason why there is nothing."""
    try:
        return dict(build(), missing=None)
    except Missing as missing:
        return dict(missing=str(missing))


def _per_class(study: Study, predictions: StudyPredictions) -> dict:
    found = per_class_differences(study, predictions)
    return dict(figure=figures.per_class_figure(found.differences, study), source=found.source,
                notes=found.notes)


def _gallery(study: Study, predictions: StudyPredictions, options: Options) -> dict:
    if options.images < 1:
        raise Missing('No images were asked for (--images 0).')
    columns: Dict[str, Predictions] = {}
    colours: Dict[str, str] = {}
    notes: List[str] = []

    def add(title: str, colour: str, look: Callable[[], Predictions]) -> Optional[str]:
        try:
            seen = look()
        except Missing as missing:
            notes.append(str(missing))
            return None
        if columns and seen.image_ids != next(iter(columns.values())).image_ids:
            notes.append(f'{title} is not shown: its validation images are others.')
            return None
        columns[title], colours[title] = seen, colour
        return title

    teacher = None
    if study.distilled or study.teacher:
        teacher = add('teacher', TEACHER_COLOUR, predictions.of_teacher)
    students = [m for m in (study.baseline, *study.candidates[:_SIDE_BY_SIDE]) if m]
    shown = [add(m.name, m.colour, lambda m=m: predictions.of_run(representative(m)))
             for m in dict.fromkeys(students)]
    names = [name for name in shown if name]
    if not names:
        raise Missing(' '.join(distinct(notes)))
    base = study.baseline.name if study.baseline and study.baseline.name in names else None
    one = next((name for name in names if name != base), base)
    other = base if base and base != one else teacher
    first = columns[one]
    rows, left_out = build_gallery(columns, annotations(first.ann_file), one, other,
                                   options.images, options.score_thr)
    if not rows:
        raise Missing(' '.join(left_out) or 'There are no validation images.')
    return dict(rows=rows, one=one, other=other, colours=colours, extent=first.extent,
                score_thr=options.score_thr, notes=distinct(notes + left_out),
                left_out=max(0, len(study.candidates) - _SIDE_BY_SIDE))


def _knowledge(study: Study, predictions: StudyPredictions) -> dict:
    learners = sorted(study.distilled, key=study.rank)[:_SIDE_BY_SIDE]
    if not learners:
        raise Missing('No run given has a teacher.')
    seen = predictions.of_teacher()
    objects = knowledge.find_objects(seen)
    if not len(objects.labels):
        raise Missing('There is no object on the first validation images.')
    taught = knowledge.logits(teacher_detector(study), objects, predictions.device, seen.classes)
    number = len(seen.classes)
    chosen = knowledge.most_telling(
        knowledge.softened(taught, np.ones(len(taught)), number), objects.labels, number, _OBJECTS)
    if not chosen:
        raise Missing("The teacher classifies none of the first images' objects rightly.")
    variants: List[dict] = []
    notes: List[str] = []
    for method in learners:
        try:
            variants.append(_answers(predictions, method, objects, taught, chosen, seen))
        except Missing as missing:
            notes.append(str(missing))
    if not variants:
        raise Missing(' '.join(distinct(notes)))
    notes += [note for variant in variants for note in variant['notes']]
    return dict(cards=[_card(seen, objects, i) for i in chosen], variants=variants,
                notes=distinct(notes))


def _card(seen: Predictions, objects: knowledge.AnnotatedRoIs, index: int) -> dict:
    picture = read_picture(seen, int(objects.rois[index, 0]))
    return dict(crop=data_uri(crop(picture, objects.rois[index, 1:]), _CROP),
                name=seen.classes[objects.labels[index]])


def _answers(predictions: StudyPredictions, method: Method, objects: knowledge.AnnotatedRoIs,
             taught: np.ndarray, chosen: List[int], seen: Predictions) -> dict:
    """One method's plots: teacher, student and student alone, at 1 and the method's temperature."""
    answers = [('teacher', TEACHER_COLOUR, None, taught)]
    notes: List[str] = []
    for other in dict.fromkeys(m for m in (method, method.alone) if m):
        try:
            learned = knowledge.logits(detector_of(representative(other)), objects,
                                       predictions.device, seen.classes)
        except Missing as missing:
            if other is method:
                raise
            notes.append(str(missing))
            continue
        answers.append((other.name, other.colour, other.key, learned))
    number = len(seen.classes)
    widest = max(z.shape[1] for *_, z in answers)
    tau = knowledge.learned_tau(representative(method), objects.labels)
    plots = []
    for i in chosen:
        taus = [1.0, tau[i]] if round(tau[i], 2) != 1 else [1.0]
        plots.append(figures.knowledge_figure(
            [*seen.classes, 'background'][:widest], taus,
            [(*rest, knowledge.softened(z[i], np.array(taus), number)) for *rest, z in answers]))
    return dict(name=method.name, shown=[(title, colour) for title, colour, *_ in answers],
                figures=plots, notes=notes)
