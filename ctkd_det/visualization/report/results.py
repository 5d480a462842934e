"""The headline table and what it says in words."""
from dataclasses import dataclass
from statistics import stdev
from typing import List, Optional, Tuple

from .methods import TEACHER, TEACHER_COLOUR, Method
from .metrics import Metric
from .study import Study
from .study_predictions import TeacherMetrics


@dataclass(frozen=True)
class Gain:
    """How much better than the student alone a method is.

    Attributes:
        mean: Difference of the means.
        pairs: Seed and difference, for the seeds that both have.
        seeds: How many seeds each mean is over, in words.
    """
    mean: float
    pairs: List[Tuple[Optional[int], float]]
    seeds: str

    @property
    def spread(self) -> Optional[float]:
        """Standard deviation (n - 1) of the differences, None with fewer than two."""
        return stdev(gain for _, gain in self.pairs) if len(self.pairs) > 1 else None


def results(study: Study, teacher: Optional[TeacherMetrics]) -> List[dict]:
    """A row for each method: values, gains, number of seeds.

    Args:
        study (Study): The runs.
        teacher (TeacherMetrics, optional): Of a teacher that is not among
            the runs but was evaluated.
    """
    rows = [_row(study, method, _teacher_value(study, method, teacher))
            for method in study.methods]
    if teacher and not study.teacher:
        rows.append(dict(
            key=TEACHER, name='teacher', stem='', role='teacher', colour=TEACHER_COLOUR, seeds='',
            note='' if teacher.complete else f'on {teacher.images}', unfinished='', unmeasured='',
            remark='evaluated for this report', gain=None, behind=None,
            cells=[dict(metric=m, mean=teacher.metrics.get(m.title), spread=None, values=[])
                   for m in study.metrics]))
    return rows


def _row(study: Study, method: Method, teacher: Optional[float]) -> dict:
    own = method.mean(study.metric)
    behind = own - teacher if None not in (own, teacher) and method.role != 'teacher' else None
    stopped, unfinished, unmeasured = _ends(method, study.metric)
    return dict(key=method.key, name=method.name, stem=method.stem, role=method.role,
                colour=method.colour, seeds=len(method.runs), unfinished=unfinished,
                unmeasured=unmeasured,
                note='; '.join(part for part in (stopped, unfinished, unmeasured) if part),
                remark=_remark(method), gain=_gain(study, method), behind=behind,
                cells=[dict(metric=m, mean=method.mean(m), spread=method.spread(m),
                            values=method.values(m)) for m in study.metrics])


def _remark(method: Method) -> str:
    """Its role, where the name does not say it."""
    said = dict(baseline='student alone', teacher='teacher').get(method.role, '')
    return '' if method.name == said else said


def _gain(study: Study, method: Method) -> Optional[Gain]:
    baseline, metric = method.alone, study.metric
    if method.role not in ('distilled', 'plain') or not baseline:
        return None
    own, theirs = method.values(metric), baseline.values(metric)
    if not own or not theirs:
        return None
    by_seed = {run.seed: run.final(metric) for run in baseline.runs}
    pairs = [(run.seed, run.final(metric) - by_seed[run.seed]) for run in method.runs
             if run.final(metric) is not None and by_seed.get(run.seed) is not None]
    equal = len(own) == len(theirs)
    number = f'{len(own)}' if equal else f'{len(own)} and {len(theirs)}'
    return Gain(method.mean(metric) - baseline.mean(metric), pairs,
                f'{number} seed{"" if equal and len(own) == 1 else "s"}')


def _teacher_value(study: Study, method: Method,
                   evaluated: Optional[TeacherMetrics]) -> Optional[float]:
    """The metric of the method's teacher, from its training or as evaluated."""
    teacher = study.teacher_of(method)
    if isinstance(teacher, Method):
        return teacher.mean(study.metric)
    if teacher is None or teacher != study.teachers[0] or not evaluated or not evaluated.complete:
        return None
    return evaluated.metrics.get(study.metric.title)


def _ends(method: Method, metric: Metric) -> Tuple[str, str, str]:
    """Of which runs the last validation is not that of the planned end, or measured nothing.

    Returns:
        tuple: What stopped early, what goes on, and what was not measured, in
        words.
    """
    stopped, unfinished, unmeasured = [], [], []
    for run in method.runs:
        length, unit = run.length
        done = run.last_validation
        if done is None:
            unmeasured.append('no validation metric logged yet')
        elif not run.finished:
            at = f'{unit} {done:g} of {length}'
            if run.stopped_early:
                stopped.append(f'stopped early at {at}')
            else:
                unfinished.append(at)
        if run.unmeasured(metric):
            unmeasured.append(run.unmeasured(metric))
    said, goes_on, lacking = ('; '.join(dict.fromkeys(parts))
                              for parts in (stopped, unfinished, unmeasured))
    return said, goes_on, lacking


def headline(rows: List[dict]) -> List[str]:
    """What came out, in plain words; the best student first."""
    students = [r for r in rows if r['role'] in ('distilled', 'plain') and _mean(r) is not None]
    if not students:
        students = [r for r in rows if r['role'] != 'teacher' and _mean(r) is not None]
    unfinished, unmeasured = (
        '; '.join(f'{row["name"]}: {row[what]}' for row in rows
                  if row[what] and row['role'] != 'teacher')
        for what in ('unfinished', 'unmeasured'))
    if not students:
        logged = any(cell['mean'] is not None for r in rows if r['role'] != 'teacher'
                     for cell in r['cells'])
        return [f'No run has a value of {rows[0]["cells"][0]["metric"].title} at its last '
                'validation.' if logged else 'No run has a validation metric to show yet.',
                *(f'{said}.' for said in (unfinished, unmeasured) if said)]
    students.sort(key=lambda r: (r['role'] != 'distilled', -_mean(r)))
    best = students[0]
    count = len(best['cells'][0]['values'])
    of = f' (mean of {count} seeds)' if count > 1 else ''
    metric = best['cells'][0]['metric']
    words = [f'{best["name"]}: {metric.words(_mean(best))} {metric.title}{of}']
    gain = best['gain']
    if gain is not None:
        more = metric.words(gain.mean, '+')
        words.append(f'{more} over the student alone ({gain.seeds})')
    if best['behind'] is not None:
        side = 'below' if best['behind'] < 0 else 'above'
        words.append(f'{metric.words(abs(best["behind"]))} {side} the teacher')
    ends = [f'Not finished, so these numbers will change: {unfinished}.'] if unfinished else []
    ends += [f'Without a value: {unmeasured}.'] if unmeasured else []
    return [', '.join(words) + '.', *ends, *_caution(best, students[1:])]


def _caution(best: dict, others: List[dict]) -> List[str]:
    """Whether the lead over the next method is more than the seeds' spread."""
    rivals = [r for r in others if r['role'] == best['role']]
    if not rivals:
        return [] if len(best['cells'][0]['values']) > 1 else [
            'One seed says little about a difference of a few points.']
    difference = _mean(best) - _mean(rivals[0])
    spreads = [s for s in (r['cells'][0]['spread'] for r in (best, rivals[0])) if s is not None]
    lead, spread = map(best['cells'][0]['metric'].words, (difference, max(spreads, default=None)))
    if not spreads:
        return [f'Its lead of {lead} over {rivals[0]["name"]} rests on one seed each.']
    if difference <= max(spreads):
        return [f'Its lead of {lead} over {rivals[0]["name"]} is within the spread between '
                f'seeds ({spread}): these runs do not tell the two apart.']
    return [f'Its lead over {rivals[0]["name"]} is {lead}; seeds spread by {spread}.']


def _mean(row: dict) -> Optional[float]:
    return row['cells'][0]['mean']
