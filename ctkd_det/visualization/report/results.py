"""The headline table and what it says in words."""
from dataclasses import dataclass
from statistics import stdev
from typing import List, Optional, Tuple

from .methods import TEACHER_COLOUR, Method
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
    rows = [_row(study, method, _teacher_value(study, teacher)) for method in study.methods]
    if teacher and not study.teacher:
        rows.append(dict(
            name='teacher', stem='', role='teacher', colour=TEACHER_COLOUR, seeds='',
            note='' if teacher.complete else f'on {teacher.images}',
            remark='evaluated for this report', gain=None, behind=None,
            cells=[dict(metric=m, mean=teacher.metrics.get(m.title), spread=None, values=[])
                   for m in study.metrics]))
    return rows


def _row(study: Study, method: Method, teacher: Optional[float]) -> dict:
    own = method.mean(study.metric)
    behind = own - teacher if None not in (own, teacher) and method.role != 'teacher' else None
    return dict(name=method.name, stem=method.stem, role=method.role, colour=method.colour,
                seeds=len(method.runs), note=_open_ends(method, study.metric),
                remark=_remark(method), gain=_gain(study, method), behind=behind,
                cells=[dict(metric=m, mean=method.mean(m), spread=method.spread(m),
                            values=method.values(m)) for m in study.metrics])


def _remark(method: Method) -> str:
    """Its role, where the name does not say it."""
    said = dict(baseline='student alone', teacher='teacher').get(method.role, '')
    return '' if method.name == said else said


def _gain(study: Study, method: Method) -> Optional[Gain]:
    baseline, metric = study.baseline, study.metric
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


def _teacher_value(study: Study, teacher: Optional[TeacherMetrics]) -> Optional[float]:
    if study.teacher:
        return study.teacher.mean(study.metric)
    return teacher.metrics.get(study.metric.title) if teacher and teacher.complete else None


def _open_ends(method: Method, metric: Metric) -> str:
    """Says so if a run's last validation is not that of its end, or measured nothing."""
    parts = []
    for run in method.runs:
        length, unit = run.length
        done = run.last_validation
        if done is None:
            parts.append('no validation metric logged yet')
        elif length is not None and done < length:
            parts.append(f'{unit} {done:g} of {length}')
        if run.unmeasured(metric):
            parts.append(run.unmeasured(metric))
    return '; '.join(dict.fromkeys(parts))


def headline(rows: List[dict]) -> List[str]:
    """What came out, in plain words; the best student first."""
    students = [r for r in rows if r['role'] in ('distilled', 'plain') and _mean(r) is not None]
    if not students:
        students = [r for r in rows if r['role'] != 'teacher' and _mean(r) is not None]
    open_ended = [f'{row["name"]}: {row["note"]}' for row in rows
                  if row['note'] and row['role'] != 'teacher']
    if not students:
        logged = any(cell['mean'] is not None for r in rows if r['role'] != 'teacher'
                     for cell in r['cells'])
        return [f'No run has a value of {rows[0]["cells"][0]["metric"].title} at its last '
                'validation.' if logged else 'No run has a validation metric to show yet.',
                *([f'{"; ".join(open_ended)}.'] if open_ended else [])]
    students.sort(key=lambda r: (r['role'] != 'distilled', -_mean(r)))
    best = students[0]
    count = len(best['cells'][0]['values'])
    of = f' (mean of {count} seeds)' if count > 1 else ''
    title = best['cells'][0]['metric'].title
    words = [f'{best["name"]}: {_number(best)} {title}{of}']
    gain = best['gain']
    if gain is not None:
        words.append(f'{signed(gain.mean)} over the student alone ({gain.seeds})')
    if best['behind'] is not None:
        side = 'below' if best['behind'] < 0 else 'above'
        words.append(f'{abs(best["behind"]):.1f} {side} the teacher')
    unfinished = [f'Not finished, so these numbers will change: {"; ".join(open_ended)}.'
                  ] if open_ended else []
    return [', '.join(words) + '.', *unfinished, *_caution(best, students[1:])]


def signed(value: Optional[float]) -> str:
    """A difference, with a true minus sign."""
    return '–' if value is None else f'{value:+.1f}'.replace('-', '−')


def _caution(best: dict, others: List[dict]) -> List[str]:
    """Whether the lead over the next method is more than the seeds' spread."""
    rivals = [r for r in others if r['role'] == best['role']]
    if not rivals:
        return [] if len(best['cells'][0]['values']) > 1 else [
            'One seed says little about a difference of a few points.']
    lead = _mean(best) - _mean(rivals[0])
    spreads = [s for s in (r['cells'][0]['spread'] for r in (best, rivals[0])) if s is not None]
    if not spreads:
        return [f'Its lead of {lead:.1f} over {rivals[0]["name"]} rests on one seed each.']
    if lead <= max(spreads):
        return [f'Its lead of {lead:.1f} over {rivals[0]["name"]} is within the spread between '
                f'seeds ({max(spreads):.1f}): these runs do not tell the two apart.']
    return [f'Its lead over {rivals[0]["name"]} is {lead:.1f}; seeds spread by '
            f'{max(spreads):.1f}.']


def _mean(row: dict) -> Optional[float]:
    return row['cells'][0]['mean']


def _number(row: dict) -> str:
    return f'{_mean(row):.1f}' if row['cells'][0]['metric'].percent else f'{_mean(row):.4g}'
