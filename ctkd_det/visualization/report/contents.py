"""Collects what the page shows; what cannot be had is replaced by the reason."""
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional

import numpy as np

from . import figures, knowledge
from .detectors import teacher_detector
from .evaluation import annotations
from .gallery import build_gallery
from .looks import Looks
from .per_class import per_class_differences
from .predictions import Predictions
from .results import headline, results
from .runs import METRICS, Missing
from .settings import config_differences, environment
from .study import TEACHER_COLOUR, Method, Study

# methods beside one another in gallery and bars; more would not be readable
_SIDE_BY_SIDE = 3
_OBJECTS = 4


@dataclass
class Options:
    """What the caller chooses; see :func:`write_report`."""
    images: int
    val_images: int
    score_thr: float
    device: str


def collect(study: Study, options: Options) -> Dict[str, Any]:
    """The template's variables."""
    looks = Looks(study, options.val_images, options.device)
    rows = results(study, looks.teacher_metrics())
    notes = [*study.notes, *looks.take_notes()]
    titles, versions = environment(study)
    temperature = figures.temperature_figure(study)
    return dict(
        headline=headline(rows), rows=rows, metrics=list(METRICS), notes=notes,
        legend=[dict(key=figures.method_key(study, m), method=m) for m in study.methods],
        num_runs=sum(len(m.runs) for m in study.methods), baseline=study.baseline,
        curves=figures.metric_figures(study), temperature=temperature,
        losses=figures.loss_figures(study),
        per_class=_try(lambda: _per_class(study, looks), looks),
        gallery=_try(lambda: _gallery(study, looks, options), looks),
        knowledge=_try(lambda: _knowledge(study, looks), looks),
        differences=config_differences(study), methods=study.methods,
        environment=dict(titles=titles, rows=versions))


def _try(build: Callable[[], dict], looks: Looks) -> dict:
    """What ``build`` returns, or the reason why there is nothing, with its notes."""
    looks.take_notes()
    try:
        content = build()
    except Missing as missing:
        return dict(missing=str(missing), notes=[])
    return dict(content, missing=None, notes=looks.take_notes())


def _per_class(study: Study, looks: Looks) -> dict:
    found, source = per_class_differences(study, looks)
    return dict(figure=figures.per_class_figure(found, study), source=source)


def _gallery(study: Study, looks: Looks, options: Options) -> dict:
    if options.images < 1:
        raise Missing('No images were asked for (--images 0).')
    columns: Dict[str, Predictions] = {}
    colours: Dict[str, str] = {}

    def add(title: str, colour: str, look: Callable[[], Predictions]) -> Optional[str]:
        try:
            seen = look()
        except Missing as missing:
            looks.note(missing)
            return None
        if columns and seen.image_ids != next(iter(columns.values())).image_ids:
            looks.note(Missing(f'{title} is not shown: its validation images are others.'))
            return None
        columns[title], colours[title] = seen, colour
        return title

    teacher = None
    if study.distilled or study.teacher:
        teacher = add('teacher', TEACHER_COLOUR, looks.teacher)
    students = [m for m in (study.baseline, *study.candidates[:_SIDE_BY_SIDE]) if m]
    shown = [add(m.name, m.colour, lambda m=m: looks.run(looks.representative(m)))
             for m in _distinct(students)]
    names = [name for name in shown if name]
    if not names:
        raise Missing(' '.join(looks.take_notes()))
    base = study.baseline.name if study.baseline and study.baseline.name in names else None
    one = next((name for name in names if name != base), base)
    other = base if base and base != one else teacher
    first = columns[one]
    rows = build_gallery(columns, annotations(first.ann_file), one, other, options.images,
                         options.score_thr)
    if not rows:
        raise Missing(f'The validation images are no longer at {first.paths[0]}.')
    return dict(rows=rows, one=one, other=other, colours=colours, extent=looks.extent,
                score_thr=options.score_thr, left_out=max(0, len(study.candidates) - _SIDE_BY_SIDE))


def _distinct(methods: List[Method]) -> List[Method]:
    return list({id(method): method for method in methods}.values())


def _knowledge(study: Study, looks: Looks) -> dict:
    learners = sorted(study.distilled, key=lambda m: -(m.mean('mAP') or 0))[:_SIDE_BY_SIDE]
    if not learners:
        raise Missing('No run given has a teacher.')
    seen = looks.teacher()
    objects = knowledge.find_objects(seen)
    if not len(objects.labels):
        raise Missing('There is no object on the first validation images.')
    taught = knowledge.logits(teacher_detector(study), objects, looks.device,
                              seen.classes)
    chosen = knowledge.choose(taught, objects.labels, _OBJECTS)
    if not chosen:
        raise Missing("The teacher classifies none of the first images' objects rightly.")
    variants = []
    for method in learners:
        try:
            variants.append(_answers(study, looks, method, objects, taught, chosen, seen))
        except Missing as missing:
            looks.note(missing)
    if not variants:
        raise Missing(' '.join(looks.take_notes()))
    cards = [dict(crop=knowledge.crop(seen.paths[int(objects.rois[i, 0])], objects.rois[i, 1:]),
                  name=seen.classes[objects.labels[i]]) for i in chosen]
    return dict(cards=cards, variants=variants)


def _answers(study: Study, looks: Looks, method: Method, objects: knowledge.Objects,
             taught: np.ndarray, chosen: List[int], seen: Predictions) -> dict:
    """One method's plots: teacher, student and baseline at the method's temperature."""
    run = looks.representative(method)
    tau = knowledge.learned_tau(run, objects.labels)
    answers = [('teacher', TEACHER_COLOUR, None, taught)]
    for other in _distinct([m for m in (method, study.baseline) if m]):
        try:
            learned = knowledge.logits(looks.detector(other), objects, looks.device,
                                       seen.classes)
        except Missing as missing:
            if other is method:
                raise
            looks.note(missing)
            continue
        answers.append((other.name, other.colour, figures.method_key(study, other), learned))
    soft = [(title, colour, key, knowledge.softened(z, tau)) for title, colour, key, z in answers]
    plots = [figures.knowledge_figure([*seen.classes, 'background'],
                                      [(*rest, p[i]) for *rest, p in soft]) for i in chosen]
    return dict(name=method.name, shown=[(title, colour) for title, colour, *_ in soft],
                figures=plots, taus=[float(tau[i]) for i in chosen])
