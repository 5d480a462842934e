"""Who taught whom, and which detector is the student alone."""
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from ...configs import comparable
from ...models.detectors import DISTILLED
from ...models.distilled_config import distillation_arguments
from .methods import BASELINE_COLOUR, COLOURS, DASHES, TEACHER_COLOUR, Method, Teacher
from .runs import flatten

# arguments of a detector that say how it is distilled, not what it is
DISTILLATION = {'type'}.union(*map(distillation_arguments, DISTILLED))


def find_teachers(methods: List[Method], given: Optional[Teacher]) -> Tuple[List[Teacher],
                                                                            List[str]]:
    """Set each method's ``taught_by``.

    Args:
        methods (list[Method]): The best first; it decides whose teacher comes
            first.
        given (Method | str, optional): The one that the user names. If no
            config names it, it has moved, and stands for all that they name.

    Returns:
        tuple: The teachers, and notes.
    """
    spellings: Dict[Path, Teacher] = {}

    def known(checkpoint: str) -> Teacher:
        place = Path(checkpoint).resolve()
        return next((m for m in methods for run in m.runs if not run.distilled
                     and run.work_dir.resolve() == place.parent),
                    spellings.setdefault(place, checkpoint))

    given = known(given) if isinstance(given, str) else given
    named = {method: known(str(checkpoint)) for method in methods if method.distilled
             for checkpoint in [method.runs[0].config.model.get('teacher_ckpt')] if checkpoint}
    moved = given is not None and given not in named.values()
    for method, teacher in named.items():
        method.taught_by = given if moved else teacher
    teachers = list(dict.fromkeys(
        [given] * (given is not None) + [given if moved else t for t in named.values()]))
    pairs = ', '.join(f'{method.name} learned from {_called(t)}' for method, t in named.items())
    if len(teachers) > 1:
        return teachers, [
            f'There are several teachers: {pairs}. Each method is compared with its own; images '
            f'and probabilities are of {_called(teachers[0])}.']
    if moved and len(set(named.values())) > 1:
        return teachers, [f'{_called(given)} was taken for the only teacher, though by the configs '
                          f'{pairs}.']
    return teachers, []


def _called(teacher: Teacher) -> str:
    return teacher if isinstance(teacher, str) else teacher.name


def find_baselines(methods: List[Method], given: Optional[Method]) -> List[str]:
    """Set ``alone`` of each method that is no teacher; returns notes.

    Args:
        methods (list[Method]): All of them.
        given (Method, optional): The one that the user names, for all.
    """
    students = [m for m in methods if m.role != 'teacher']
    if given:
        for method in students:
            method.alone = given
        return []
    if all(m.distilled for m in students) or not any(m.distilled for m in students):
        return [] if len(methods) < 2 else [
            'There are no gains over a student alone, because no run given is '
            + ('a plain detector: name one with --baseline.'
               if any(m.distilled for m in students) else
               'distilled: name the one to compare with by --baseline.')]
    notes = []
    for alike in _by_architecture(students):
        plain = [m for m in alike if not m.distilled]
        if not plain or len(plain) == len(alike):
            continue
        for method in alike:
            method.alone = plain[0]
        if len(plain) > 1:
            notes.append(
                f'{" and ".join(m.name for m in plain)} are plain detectors of the same '
                f'architecture; {plain[0].name} was taken for the baseline. Another can be named '
                'with --baseline.')
    without = [m.name for m in students if not m.alone]
    if len(without) == len(students):
        return ['There are no gains over a student alone, because no plain run has '
                "the distilled students' architecture: name one with --baseline."]
    if without:
        notes.append(f'There is no gain for {" and ".join(without)}: no student alone has the same '
                     'architecture. One for all can be named with --baseline.')
    return notes


def _by_architecture(methods: List[Method]) -> List[List[Method]]:
    groups: List[Tuple[dict, List[Method]]] = []
    for method in methods:
        own = architecture(method.runs[0].config.model)
        group = next((group for known, group in groups if known == own), None)
        if group is None:
            groups.append((own, [method]))
        else:
            group.append(method)
    return [group for _, group in groups]


def architecture(model: dict) -> Dict[str, object]:
    """What a detector is, whoever teaches it."""
    # weights to start from and what is only used in training are no part of it
    return {key: value for key, value in flatten(
        {k: v for k, v in comparable(model).items() if k not in DISTILLATION}).items()
        if 'init_cfg' not in key and not key.startswith('train_cfg')}


def dress(methods: List[Method]) -> None:
    """Give colours, dashes and keys, in this order."""
    counts: Dict[str, int] = {}
    for index, method in enumerate(methods):
        single = dict(teacher=TEACHER_COLOUR, baseline=BASELINE_COLOUR).get(method.role)
        kind = method.role if single else 'other'
        number = counts[kind] = counts.get(kind, -1) + 1
        palette = (single, ) if single else COLOURS
        method.key = f'm{index}'
        method.colour = palette[number % len(palette)]
        method.dash = DASHES[number // len(palette) % len(DASHES)]
