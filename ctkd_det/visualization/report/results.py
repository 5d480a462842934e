"""The headline table and what it says in words."""
from statistics import stdev
from typing import List, Optional, Tuple

from .runs import METRICS
from .study import TEACHER_COLOUR, Method, Study
from .study_predictions import TeacherMetrics


def results(study: Study, teacher: Optional[TeacherMetrics]) -> List[dict]:
    """A row for each method: values, gains, number of seeds.

    Args:
        study (Study): The runs.
        teacher (TeacherMetrics, optional): Of a teacher that is not among
            the runs but was evaluated.
    """
    rows = [_row(study, method, _teacher_map(study, teacher)) for method in study.methods]
    if teacher and not study.teacher:
        marked = '' if teacher.complete else f'on {teacher.images}'
        rows.append(dict(name='teacher', role='teacher', colour=TEACHER_COLOUR, seeds='',
                         note=marked, remark='evaluated for this report', gain=None, gains=[],
                         gain_spread=None, behind=None,
                         cells=[dict(mean=teacher.metrics.get(m), spread=None, values=[])
                                for m in METRICS]))
    return rows


def _row(study: Study, method: Method, teacher: Optional[float]) -> dict:
    own = method.mean('mAP')
    gain = gain_spread = behind = None
    gains: List[Tuple[Optional[int], float]] = []
    base = study.baseline.mean('mAP') if study.baseline else None
    if method.role in ('distilled', 'plain') and own is not None and base is not None:
        gain, gains = own - base, _paired(method, study.baseline)
        gain_spread = stdev(g for _, g in gains) if len(gains) > 1 else None
    if method.role != 'teacher' and own is not None and teacher is not None:
        behind = own - teacher
    return dict(name=method.name, role=method.role, colour=method.colour,
                seeds=len(method.runs), note=_unfinished(method), remark=_remark(method), gain=gain,
                gain_spread=gain_spread, gains=gains, behind=behind,
                cells=[dict(mean=method.mean(m), spread=method.spread(m),
                            values=method.values(m)) for m in METRICS])


def _remark(method: Method) -> str:
    """Its role, where the name does not say it."""
    said = dict(baseline='student alone', teacher='teacher').get(method.role, '')
    return '' if method.name == said else said


def _paired(method: Method, baseline: Method) -> List[Tuple[Optional[int], float]]:
    """Seed and gain, for the seeds that both have."""
    theirs = {run.seed: run.final('mAP') for run in baseline.runs}
    return [(run.seed, run.final('mAP') - theirs[run.seed]) for run in method.runs
            if run.final('mAP') is not None and theirs.get(run.seed) is not None]


def _teacher_map(study: Study, teacher: Optional[TeacherMetrics]) -> Optional[float]:
    if study.teacher:
        return study.teacher.mean('mAP')
    return teacher.metrics['mAP'] if teacher and teacher.complete else None


def _unfinished(method: Method) -> str:
    """Says so if a run's last validation is not that of its end."""
    parts = []
    for run in method.runs:
        length, unit = run.length
        done = run.last_validation
        if done is None:
            parts.append('not validated yet')
        elif length is not None and done < length:
            parts.append(f'{unit} {done:g} of {length}')
    return '; '.join(dict.fromkeys(parts))


def headline(rows: List[dict]) -> List[str]:
    """What came out, in plain words; the best student first."""
    students = [r for r in rows if r['role'] in ('distilled', 'plain') and _map(r) is not None]
    if not students:
        students = [r for r in rows if r['role'] != 'teacher' and _map(r) is not None]
    if not students:
        return ['No run has been validated yet.']
    students.sort(key=lambda r: (r['role'] != 'distilled', -_map(r)))
    best = students[0]
    count = len(best['cells'][0]['values'])
    of = f' (mean of {count} seeds)' if count > 1 else ''
    words = [f'{best["name"]}: {_map(best):.1f} mAP{of}']
    if best['gain'] is not None:
        words.append(f'{best["gain"]:+.1f} over the student alone')
    if best['behind'] is not None:
        side = 'below' if best['behind'] < 0 else 'above'
        words.append(f'{abs(best["behind"]):.1f} {side} the teacher')
    open_ended = [f'{row["name"]}: {row["note"]}' for row in rows if row['note']]
    unfinished = [f'Not finished, so these numbers will change: {"; ".join(open_ended)}.'
                  ] if open_ended else []
    return [', '.join(words) + '.', *unfinished, *_caution(best, students[1:])]


def _caution(best: dict, others: List[dict]) -> List[str]:
    """Whether the lead over the next method is more than the seeds' spread."""
    rivals = [r for r in others if r['role'] == best['role']]
    if not rivals:
        return [] if len(best['cells'][0]['values']) > 1 else [
            'One seed says little about a difference of a few points.']
    lead = _map(best) - _map(rivals[0])
    spreads = [s for s in (r['cells'][0]['spread'] for r in (best, rivals[0])) if s is not None]
    if not spreads:
        return [f'Its lead of {lead:.1f} over {rivals[0]["name"]} rests on one seed each.']
    if lead <= max(spreads):
        return [f'Its lead of {lead:.1f} over {rivals[0]["name"]} is within the spread between '
                f'seeds ({max(spreads):.1f}): these runs do not tell the two apart.']
    return [f'Its lead over {rivals[0]["name"]} is {lead:.1f}; seeds spread by '
            f'{max(spreads):.1f}.']


def _map(row: dict) -> Optional[float]:
    return row['cells'][0]['mean']
