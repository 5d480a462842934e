"""What the report is about: methods, metrics, who is who."""
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

from ...work_dir import find_runs
from .methods import Method, Teacher, group_runs, repeated_seeds
from .metrics import Metric, find_metrics
from .roles import dress, find_baselines, find_teachers
from .runs import Missing, TrainedRun, read_run


@dataclass
class Study:
    """All that the report is about.

    Attributes:
        methods: The baselines, then by the first metric, then the teachers.
        metrics: What the validations have logged.
        teachers: All that taught; images and probabilities are of the first.
        notes: Sentences on what was left out or could not be told.
    """
    methods: List[Method]
    metrics: List[Metric]
    teachers: List[Teacher] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)

    @property
    def teacher(self) -> Optional[Method]:
        """Method or None: The first teacher's training, if it is among the methods."""
        return next((t for t in self.teachers[:1] if isinstance(t, Method)), None)

    @property
    def learner(self) -> Optional[Method]:
        """Method or None: The best one that the first teacher taught."""
        return next((m for m in self.distilled if m.taught_by in self.teachers[:1]), None)

    @property
    def baseline(self) -> Optional[Method]:
        """Method or None: The student alone, if it is there; of several the best method's."""
        return next((m.alone for m in self.candidates if m.alone), None)

    def teacher_of(self, method: Method) -> Optional[Teacher]:
        """A method's own teacher; for one without, the only teacher that there is."""
        return method.taught_by or (self.teachers[0] if len(self.teachers) == 1 else None)

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
        baseline (Path, optional): Work directory of the student alone, or a
            folder of its seeds'.
        teacher (Path, optional): The teacher's work directory, or a folder of
            its seeds', or its checkpoint.
        names (Sequence[str]): ``WORK_DIR=NAME``, to call a method otherwise.

    Raises:
        FileNotFoundError: if a path does not exist, or none holds a run.
        ValueError: if baseline and teacher are the same, the folder of one
            holds several methods, or one of ``names`` fits no method, or names
            it like another.
    """
    teacher_run = Path(teacher) if teacher and Path(teacher).is_dir() else None
    if teacher and not Path(teacher).exists():
        raise FileNotFoundError(f'teacher {teacher} is neither a work directory nor a checkpoint')
    given = [run.path for work_dir in (*work_dirs, baseline, teacher_run) if work_dir
             for run in find_runs(work_dir)]
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
    study.notes += repeated_seeds(study.methods)
    _cast(study, _method_at(study, baseline),
          _method_at(study, teacher) if teacher_run else teacher and str(teacher))
    return study


def _cast(study: Study, baseline: Optional[Method], teacher: Optional[Teacher]) -> None:
    """Give roles, order and colours, to those first that the user has named."""
    study.teachers, notes = find_teachers(sorted(study.methods, key=study.rank), teacher)
    if baseline and baseline is study.teacher:
        raise ValueError(f'{baseline.name} cannot be both the baseline and the teacher')
    for method in study.methods:
        if method in study.teachers and method is not baseline:
            method.role = 'teacher'
    study.notes += notes + find_baselines(study.methods, baseline)
    for method in study.methods:
        if method.role != 'teacher':
            method.role = ('baseline' if method.alone is method else
                           'distilled' if method.distilled else 'plain')
    order = dict(baseline=0, teacher=2)
    study.methods.sort(key=lambda m: (order.get(m.role, 1), study.rank(m)))
    dress(study.methods)


def _method_at(study: Study, folder: Optional[Union[str, Path]]) -> Optional[Method]:
    """The method whose run or runs the folder is, or holds."""
    if folder is None:
        return None
    places = [run.path.resolve() for run in find_runs(folder)]
    found = [method for method in study.methods
             if any(run.work_dir.resolve() in places for run in method.runs)]
    if len(found) > 1:
        raise ValueError(f'{folder} holds several methods, {", ".join(m.name for m in found)}: '
                         'name the folder of one')
    return found[0] if found else None
