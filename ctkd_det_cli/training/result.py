"""How a training ended, in words."""
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from mmengine.runner import Runner

from ctkd_det.configs import imported_modules
from ctkd_det.log_names import LoggedTau, short_name
from ctkd_det.models.distilled_config import is_distilled
from ctkd_det.work_dir import WorkDir, WorkDirError
from ..reading import modules_beside
from . import Training, is_of_seed

MAP = 'coco/bbox_mAP'


@dataclass(frozen=True)
class Metric:
    """What the validations found, resumed parts included.

    Attributes:
        key: mmengine's name, for example 'coco/bbox_mAP'.
        values: One for each validation.
    """
    key: str
    values: List[float]

    @property
    def name(self) -> str:
        """str: As people say it."""
        return self.key.rpartition('/')[2].removeprefix('bbox_')

    @property
    def last(self) -> float:
        """float: Of the last validation."""
        return self.values[-1]

    @property
    def best(self) -> float:
        """float: The highest."""
        return max(self.values)


def metric_of(runner: Runner) -> Optional[Metric]:
    """The metric that matters: box mAP where there is one, else another mAP, else the first.

    With ``classwise=True`` AP of each class comes before them.
    """
    scalars = {key.removeprefix('val/'): buffer
               for key, buffer in runner.message_hub.log_scalars.items()
               if key.startswith('val/') and not key.endswith(('time', 'data_time'))}
    if not scalars:
        return None
    key = min(scalars, key=lambda name: (name != MAP, not name.endswith('bbox_mAP'),
                                         not name.endswith('mAP')))
    return Metric(key, [float(value) for value in scalars[key].data[0]])


def _joined(metric: Optional[Metric], run: WorkDir) -> Optional[Metric]:
    """The metric with what the work directory's curves know of earlier parts of the training.

    A checkpoint does not hold the validation that follows it.
    """
    try:
        curves = run.scalars()
    except WorkDirError:  # no curves are written, or by another backend
        return metric
    key = metric.key if metric else MAP
    return Metric(key, curves[key][1]) if key in curves else metric


def tau_names(runner: Runner) -> Dict[str, str]:
    """Under which name the mean temperature of a loss is logged, for those that can move."""
    return {short_name(loss): LoggedTau(short_name(loss), 'mean').name
            for loss, config in runner.cfg.model.get('distill_losses', {}).items()
            if hasattr(config.get('temperature'), 'keys')}


@dataclass(frozen=True)
class Result:
    """What a training came to.

    Attributes:
        training: What was trained.
        work_dir: Where it wrote.
        metric: What the validations found; None without a validation.
        minutes: How long it took.
        temperatures: The means of each temperature that can move, one a step.
        teacher: The teacher's metric, where it is known.
        checkpoints: The best and the last, those that there are.
        distilled: Whether it had a teacher.
        modules: The folder of its own modules; None if it has none.
    """
    training: Training
    work_dir: Path
    metric: Optional[Metric]
    minutes: float
    temperatures: Dict[str, List[float]]
    teacher: Optional[float]
    checkpoints: Dict[str, Path]
    distilled: bool
    modules: Optional[Path]

    @classmethod
    def of(cls, runner: Runner, training: Training, minutes: float) -> 'Result':
        """Collect it from the runner."""
        from .teacher import teachers_metric
        metric = _joined(metric_of(runner), WorkDir(Path(runner.work_dir)))
        scalars = runner.message_hub.log_scalars
        taus = {loss: [float(tau) for tau in scalars[f'train/{name}'].data[0]]
                for loss, name in tau_names(runner).items() if f'train/{name}' in scalars}
        return cls(training, Path(runner.work_dir), metric, minutes, taus,
                   teachers_metric(runner.cfg, metric.key) if metric else None,
                   checkpoints(Path(runner.work_dir)), is_distilled(runner.cfg.model),
                   modules_beside(training.config, imported_modules(runner.cfg)))


def checkpoints(work_dir: Path) -> Dict[str, Path]:
    """The best and the last checkpoint of a work directory, those that there are."""
    run = WorkDir(work_dir)
    return {name: file for name, file in (('best', run.best_checkpoint),
                                          ('last', run.last_checkpoint)) if file}


def ending(result: Result, last: bool = True) -> str:
    """What to know and, after the last training, what to do next."""
    lines = [f'Finished after {result.minutes:.1f} minutes.']
    if result.metric:
        lines.append('  ' + _achieved(result))
    lines += [f'  temperature of {name}: {path_of(taus)}'
              for name, taus in result.temperatures.items()]
    lines += [f'  {name} checkpoint: {path}' for name, path in result.checkpoints.items()]
    if last:
        lines += ['Next:', *(f'  {command}' for command in _next(result))]
    return '\n'.join(lines)


def _achieved(result: Result) -> str:
    metric = result.metric
    text = f'{metric.name} {metric.last:.3f} at the end, {metric.best:.3f} at best'
    if result.teacher is not None:
        difference = round(metric.last - result.teacher, 3)
        compared = f'{abs(difference):.3f} {"less" if difference > 0 else "more"}'
        text += f'; the teacher has {result.teacher:.3f}, {compared if difference else "as much"}'
    return text


def comparison(alone: Result, distilled: Result) -> str:
    """Compare the two trainings, and say what to do before relying on it."""
    if alone.metric is None or distilled.metric is None:
        return 'Neither training was validated, so there is nothing to compare.'
    difference = distilled.metric.last - alone.metric.last
    plain, of_seed = map(shlex.quote, _outs(distilled.training.config))
    folders = shlex.join(['ctkd-det', 'report', str(alone.work_dir), str(distilled.work_dir),
                          '--baseline', str(alone.work_dir)])
    return (f'{distilled.metric.name} at the end: {alone.metric.last:.3f} without the teacher, '
            f'{distilled.metric.last:.3f} with it, {difference:+.3f}. '
            + _taught_by(distilled.teacher, alone.metric.last) + 'This is one seed: repeat it '
            f'with --seed 1, 2 ... before you rely on it (where you gave --out {plain}, with '
            f'--out {of_seed} ...).\n  {folders}')


def _taught_by(teacher: Optional[float], alone: float) -> str:
    """A sentence on a teacher that has nothing ahead of its student."""
    if teacher is None or round(teacher - alone, 3) > 0:
        return ''
    return (f'The teacher itself has {teacher:.3f}, no more than the student alone: a better '
            'teacher may bring more. ')


def _outs(config: Path) -> Tuple[str, str]:
    """A config as ``--out`` may have named it, and what to name for the first seed."""
    folder = config.parent.parent if is_of_seed(config) else config.parent
    here = Path.cwd()
    folder = folder.relative_to(here) if folder.is_relative_to(here) else folder
    return str(folder / config.name), str(folder / 'seed_1' / config.name)


def path_of(taus: List[float]) -> str:
    """Describe how a temperature changed."""
    first, last = taus[0], taus[-1]
    if max(taus) - min(taus) < 0.005:
        return f'stayed at {first:.2f}'
    if first < last:
        return f'rose from {first:.2f} to {last:.2f}'
    return f'fell from {first:.2f} to {last:.2f}'


def _next(result: Result) -> List[str]:
    folder = shlex.quote(str(result.work_dir))
    commands = [f'ctkd-det report {folder} --out report.html']
    if result.distilled:
        path = f'PYTHONPATH={shlex.quote(str(result.modules))} ' if result.modules else ''
        commands.append(f'{path}ctkd-det export {folder} --out student')
    return commands


def stopped(training: Training, work_dir: Path, runner: Optional[Runner]) -> str:
    """Say after Ctrl-C which checkpoint there is, and how to resume."""
    last = checkpoints(work_dir).get('last')
    where = f' at iteration {runner.iter} of {runner.max_iters}' if _counts(runner) else ''
    if last is None:
        return (f'\nStopped{where}. There is no checkpoint yet. To start anew:\n  '
                + training.again())
    return (f'\nStopped{where}. The last checkpoint is {last}. To go on from it:\n  '
            + training.again(resume='auto'))


def _counts(runner: Optional[Runner]) -> bool:
    """Whether it has got as far as the loop, which counts its iterations."""
    return runner is not None and not isinstance(runner._train_loop, dict)
