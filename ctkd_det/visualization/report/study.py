"""Who is who: seeds of one method, the baseline, the teacher."""
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

from ...models.detectors import DISTILLED
from ...models.distilled_config import distillation_arguments
from ...work_dir import find_runs
from .methods import BASELINE_COLOUR, COLOURS, DASHES, TEACHER_COLOUR, Method, group_runs
from .metrics import Metric, find_metrics
from .runs import Missing, TrainedRun, flatten, read_run

# arguments of a detector that say how it is distilled, not what it is
DISTILLATION = {'type'}.union(*map(distillation_arguments, DISTILLED))


@dataclass
class Study:
    """All that the report is about.

    Attributes:
        methods: The baseline, then by the first metric, then the teacher.
        metrics: What the validations have logged.
        baseline: The student alone, if it is among them.
        teacher: The teacher's training, if it is among them.
        notes: Sentences on what was left out or could not be told.
        teacher_checkpoint: Checkpoint to use instead of the configs' own.
    """
    methods: List[Method]
    metrics: List[Metric]
    baseline: Optional[Method] = None
    teacher: Optional[Method] = None
    notes: List[str] = field(default_factory=list)
    teacher_checkpoint: Optional[Path] = None

    @property
    def distilled(self) -> List[Method]:
        """list[Method]: Those with a teacher."""
        return [m for m in self.methods if m.role == 'distilled']

    @property
    def metric(self) -> Metric:
        """Metric: The one by which methods are compared."""
        return self.metrics[0]

    def rank(self, method: Method) -> float:
        """Ascends from the best method to the worst, then those without a value."""
        value = method.mean(self.metric)
        return float('inf') if value is None else -value

    @property
    def candidates(self) -> List[Method]:
        """list[Method]: Those that are compared with the baseline, the best first."""
        others = [m for m in self.methods if m.role in ('distilled', 'plain')]
        pool = self.distilled or others or [m for m in self.methods if m.role == 'baseline']
        return sorted(pool, key=self.rank)


def read_study(work_dirs: Sequence[Path], baseline: Optional[Path] = None,
               teacher: Optional[Path] = None, names: Sequence[str] = ()) -> Study:
    """Read the runs and find out who is who.

    Args:
        work_dirs (Sequence[Path]): Work directories, or folders of these.
        baseline (Path, optional): Work directory of the student alone.
        teacher (Path, optional): The teacher's work directory, or its
            checkpoint.
        names (Sequence[str]): ``WORK_DIR=NAME``, to call a method otherwise.

    Raises:
        FileNotFoundError: if a path does not exist, or none holds a run.
        ValueError: if baseline and teacher are the same, or one of ``names``
            fits no method.
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
        raise FileNotFoundError('none of these directories holds a run, nor does a folder in them. '
                                + ' '.join(notes))
    study = Study(group_runs(list(runs.values()), names),
                  find_metrics(run.scalars for run in runs.values()), notes=notes)
    study.teacher_checkpoint = Path(teacher) if teacher and not teacher_run else None
    study.teacher = _method_at(study, teacher_run) or _find_teacher(study)
    study.baseline = _method_at(study, baseline) or _find_baseline(study)
    if study.baseline and study.baseline is study.teacher:
        raise ValueError(f'{study.baseline.name} cannot be both the baseline and the teacher')
    _cast(study)
    return study


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
    study.methods.sort(key=lambda m: (rank.get(m.role, 1), study.rank(m)))
