"""Who is who: seeds of one method, the baseline, the teacher."""
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Dict, List, Optional, Sequence, Union

from ...models import KnowledgeDistillationDenseDetector, KnowledgeDistillationTwoStageDetector
from ...models.distilled_config import distillation_arguments
from ...work_dir import find_runs
from .runs import Missing, TrainedRun, flatten, read_run, settings

# what may differ between seeds of one method
_SEED_KEYS = ('work_dir', 'experiment_name', 'randomness.seed', 'resume', 'launcher')
# arguments of a detector that say how it is distilled, not what it is
DISTILLATION = frozenset((
    'type', *distillation_arguments(KnowledgeDistillationTwoStageDetector),
    *distillation_arguments(KnowledgeDistillationDenseDetector)))
# Okabe and Ito's colours, without those that vanish on white or on black
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#B8860B', '#882255', '#44AA99')
DASHES = ('solid', 'dash', 'dot', 'dashdot')
BASELINE_COLOUR, TEACHER_COLOUR = '#808890', '#9A7B4F'


@dataclass
class Method:
    """Runs that differ in nothing but their seed.

    Attributes:
        name: What it is called.
        runs: Its runs.
        role: 'baseline', 'teacher', 'distilled' or 'plain'.
        colour: Of its lines and bars, everywhere.
        dash: Of its lines, which tells more methods apart than there are colours.
    """
    name: str
    runs: List[TrainedRun]
    role: str = 'plain'
    colour: str = COLOURS[0]
    dash: str = DASHES[0]

    def values(self, metric: str) -> List[float]:
        """The last validations' values of a metric in %, of the runs that have one."""
        return [v for v in (run.final(metric) for run in self.runs) if v is not None]

    def mean(self, metric: str) -> Optional[float]:
        """Mean over the seeds; None if there is none."""
        values = self.values(metric)
        return mean(values) if values else None

    def spread(self, metric: str) -> Optional[float]:
        """Standard deviation over the seeds (n - 1), None with fewer than two."""
        values = self.values(metric)
        return stdev(values) if len(values) > 1 else None


@dataclass
class Study:
    """All that the report is about.

    Attributes:
        methods: The baseline, then by mAP, then the teacher.
        baseline: The student alone, if it is among them.
        teacher: The teacher's training, if it is among them.
        notes: Sentences on what was left out or could not be told.
        teacher_checkpoint: Checkpoint to use instead of the configs' own.
    """
    methods: List[Method]
    baseline: Optional[Method] = None
    teacher: Optional[Method] = None
    notes: List[str] = field(default_factory=list)
    teacher_checkpoint: Optional[Path] = None

    @property
    def distilled(self) -> List[Method]:
        """list[Method]: Those with a teacher."""
        return [m for m in self.methods if m.role == 'distilled']

    @property
    def candidates(self) -> List[Method]:
        """list[Method]: Those that are compared with the baseline, best mAP first."""
        others = [m for m in self.methods if m.role in ('distilled', 'plain')]
        pool = self.distilled or others or [m for m in self.methods if m.role == 'baseline']
        return sorted(pool, key=lambda m: -(m.mean('mAP') or 0.0))


def read_study(work_dirs: Sequence[Path], baseline: Optional[Path] = None,
               teacher: Optional[Path] = None) -> Study:
    """Read the runs and find out who is who.

    Args:
        work_dirs (Sequence[Path]): Work directories, or folders of these.
        baseline (Path, optional): Work directory of the student alone.
        teacher (Path, optional): The teacher's work directory, or its
            checkpoint.

    Raises:
        FileNotFoundError: if a path does not exist, or none holds a run.
        ValueError: if baseline and teacher are the same.
    """
    teacher_run = Path(teacher) if teacher and Path(teacher).is_dir() else None
    if teacher and not Path(teacher).exists():
        raise FileNotFoundError(f'teacher {teacher} is neither a work directory nor a checkpoint')
    below = [run.path for work_dir in work_dirs for run in find_runs(work_dir)]
    given = [*below, *(Path(p) for p in (baseline, teacher_run) if p)]
    paths = list({path.resolve(): path for path in given}.values())
    runs: Dict[Path, TrainedRun] = {}
    notes = []
    for path in paths:
        try:
            runs[path.resolve()] = read_run(path)
        except Missing as missing:
            notes.append(f'Left out: {missing}')
    if not runs:
        raise FileNotFoundError('none of these directories holds a run: ' + ' '.join(notes))
    study = Study(_group(list(runs.values())), notes=notes)
    study.teacher_checkpoint = Path(teacher) if teacher and not teacher_run else None
    study.teacher = _method_at(study, teacher_run) or _find_teacher(study)
    study.baseline = _method_at(study, baseline) or _find_baseline(study)
    if study.baseline and study.baseline is study.teacher:
        raise ValueError(f'{study.baseline.name} cannot be both the baseline and the teacher')
    _cast(study)
    return study


def _group(runs: List[TrainedRun]) -> List[Method]:
    methods: Dict[str, Method] = {}
    for run in runs:
        same = {key: _without_seed(value, run.seed) for key, value in settings(run.config).items()
                if key not in _SEED_KEYS}
        methods.setdefault(f'{run.stem} {sorted(same.items(), key=repr)!r}',
                           Method(run.stem, [])).runs.append(run)
    _name(list(methods.values()))
    return list(methods.values())


def _without_seed(value: Any, seed: Optional[int]) -> Any:
    """A path into a seed's own folder, such as that of its initial weights, is the same for all."""
    return re.sub(rf'seed_{seed}\b', 'seed', value) if isinstance(value, str) else value


def _name(methods: List[Method]) -> None:
    """Config files' names; where two methods share one, also their folders'."""
    stems = [method.name for method in methods]
    for method in methods:
        if stems.count(method.name) > 1:
            method.name = f'{method.name} ({_folder(method.runs)})'
    names = [method.name for method in methods]
    for i, method in enumerate(methods):
        if names.count(method.name) > 1:
            method.name += f' #{names[:i].count(method.name) + 1}'
        for run in method.runs:
            several = len(method.runs) > 1
            label = f'seed {run.seed}' if run.seed is not None else run.work_dir.resolve().name
            run.name = f'{method.name}, {label}' if several else method.name


def _folder(runs: List[TrainedRun]) -> str:
    """What the folders' names have in common, without a trailing "seed"."""
    folders = [run.work_dir.resolve().name for run in runs]
    if len(folders) == 1:
        return folders[0]
    return re.sub(r'[-_.]*(seed|s)?[-_.]*$', '', os.path.commonprefix(folders)) or folders[0]


def _method_at(study: Study, work_dir: Optional[Union[str, Path]]) -> Optional[Method]:
    if work_dir is None:
        return None
    for method in study.methods:
        if Path(work_dir).resolve() in [run.work_dir.resolve() for run in method.runs]:
            return method
    return None


def architecture(model: dict) -> Dict[str, object]:
    """What a detector is, whoever teaches it."""
    # weights to start from and what is only used in training are no part of it
    return {key: value for key, value in flatten(
        {k: v for k, v in model.items() if k not in DISTILLATION}).items()
        if 'init_cfg' not in key and not key.startswith('train_cfg')}


def _find_teacher(study: Study) -> Optional[Method]:
    """A plain run whose last checkpoint is one that the distilled runs name."""
    named = {Path(run.config.model.teacher_ckpt).resolve().parent
             for method in study.methods for run in method.runs
             if run.distilled and run.config.model.get('teacher_ckpt')}
    for method in study.methods:
        if any(run.work_dir.resolve() in named for run in method.runs if not run.distilled):
            return method
    return None


def _find_baseline(study: Study) -> Optional[Method]:
    """The plain method with the distilled students' architecture."""
    plain = [m for m in study.methods if not m.runs[0].distilled and m is not study.teacher]
    distilled = [m for m in study.methods if m.runs[0].distilled]
    if not plain or not distilled:
        if len(study.methods) > 1:
            study.notes.append(
                'There are no gains over a student alone, because no run given is a plain '
                "detector: name one with --baseline." if not plain else
                'There are no gains over a student alone, because no run given is distilled: '
                'name the one to compare with by --baseline.')
        return None
    students = [architecture(m.runs[0].config.model.to_dict()) for m in distilled]
    fitting = [m for m in plain if architecture(m.runs[0].config.model.to_dict()) in students]
    if not fitting:
        study.notes.append('There are no gains over a student alone, because no plain run has '
                           "the distilled students' architecture: name one with --baseline.")
        return None
    if len(fitting) > 1:
        study.notes.append(
            f'{" and ".join(m.name for m in fitting)} are plain detectors of the same '
            f'architecture; {fitting[0].name} was taken for the baseline. Another can be named '
            'with --baseline.')
    return fitting[0]


def _cast(study: Study) -> None:
    """Give roles, order and colours."""
    others = 0
    for method in study.methods:
        if method is study.teacher:
            method.role, method.colour = 'teacher', TEACHER_COLOUR
        elif method is study.baseline:
            method.role, method.colour = 'baseline', BASELINE_COLOUR
        else:
            method.role = 'distilled' if method.runs[0].distilled else 'plain'
            method.colour = COLOURS[others % len(COLOURS)]
            method.dash = DASHES[others // len(COLOURS) % len(DASHES)]
            others += 1
    rank = dict(baseline=0, teacher=2)
    study.methods.sort(key=lambda m: (rank.get(m.role, 1), -(m.mean('mAP') or 0.0)))
