"""Runs that differ in nothing but their seed are one method, and it has a name."""
import os
import re
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Dict, List, Optional, Sequence

from .metrics import Metric
from .runs import TrainedRun, settings

# what may differ between seeds of one method
_SEED_KEYS = ('work_dir', 'experiment_name', 'randomness.seed', 'resume', 'launcher')
# a name of more letters is made short where all begin or end alike
_LONG = 24
# Okabe and Ito's colours, without those that vanish on white or on black
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#B8860B', '#882255', '#44AA99')
DASHES = ('solid', 'dash', 'dot', 'dashdot')
BASELINE_COLOUR, TEACHER_COLOUR = '#808890', '#9A7B4F'


@dataclass
class Method:
    """Runs that differ in nothing but their seed.

    Attributes:
        name: What it is called.
        stem: Name of its config file.
        runs: Its runs.
        role: 'baseline', 'teacher', 'distilled' or 'plain'.
        colour: Of its lines and bars, everywhere.
        dash: Of its lines, which tells more methods apart than there are colours.
    """
    name: str
    stem: str
    runs: List[TrainedRun]
    role: str = 'plain'
    colour: str = COLOURS[0]
    dash: str = DASHES[0]

    def values(self, metric: Metric) -> List[float]:
        """The last validations' values of a metric, of the runs that have one."""
        return [v for v in (run.final(metric) for run in self.runs) if v is not None]

    def mean(self, metric: Metric) -> Optional[float]:
        """Over the seeds, None if no run has a value."""
        values = self.values(metric)
        return mean(values) if values else None

    def spread(self, metric: Metric) -> Optional[float]:
        """Standard deviation over the seeds (n - 1), None with fewer than two."""
        values = self.values(metric)
        return stdev(values) if len(values) > 1 else None


def group_runs(runs: List[TrainedRun], names: Sequence[str] = ()) -> List[Method]:
    """Runs whose configs differ in nothing but the seed become one method, with a name.

    Args:
        runs (list[TrainedRun]): They are given names, too.
        names (Sequence[str]): ``WORK_DIR=NAME``, or ``CONFIG=NAME``, to call a
            method otherwise.

    Raises:
        ValueError: if one of ``names`` fits no method or several.
    """
    methods: Dict[str, Method] = {}
    for run in runs:
        same = {key: _without_seed(value, run.seed) for key, value in settings(run.config).items()
                if key not in _SEED_KEYS}
        methods.setdefault(f'{run.stem} {sorted(same.items(), key=repr)!r}',
                           Method(run.stem, run.stem, [])).runs.append(run)
    found = list(methods.values())
    _name(found)
    for given in names:
        _rename(found, given)
    for method in found:
        for run in method.runs:
            label = f'seed {run.seed}' if run.seed is not None else run.work_dir.resolve().name
            run.name = f'{method.name}, {label}' if len(method.runs) > 1 else method.name
    return found


def _without_seed(value: Any, seed: Optional[int]) -> Any:
    """A path into a seed's own folder, such as that of its initial weights, is the same for all."""
    return re.sub(rf'seed_{seed}\b', 'seed', value) if isinstance(value, str) else value


def _name(methods: List[Method]) -> None:
    """Config files' names made short; where two methods share one, also their folders'."""
    stems = [method.stem for method in methods]
    for method, short in zip(methods, _short_names(methods), strict=True):
        method.name = short
        if stems.count(method.stem) > 1:
            method.name = f'{short} ({_folder(method.runs)})'
    names = [method.name for method in methods]
    for i, method in enumerate(methods):
        if names.count(method.name) > 1:
            method.name += f' #{names[:i].count(method.name) + 1}'


def _short_names(methods: List[Method]) -> List[str]:
    """Long names without the words that all begin and end with.

    ``faster-rcnn_r18_fpn_kd-r101_1x_coco`` beside
    ``faster-rcnn_r18_fpn_1x_coco`` becomes ``kd-r101`` beside ``student``.
    """
    stems = list(dict.fromkeys(method.stem for method in methods))
    if len(stems) < 2 or max(map(len, stems)) <= _LONG:
        return [method.stem for method in methods]
    words = [stem.split('_') for stem in stems]
    begin = len(os.path.commonprefix(words))
    rest = [w[begin:] for w in words]
    end = len(os.path.commonprefix([w[::-1] for w in rest]))
    short = {stem: '_'.join(w[:len(w) - end]) for stem, w in zip(stems, rest, strict=True)}
    distilled = {method.stem for method in methods if method.runs[0].distilled}
    if any(not short[stem] for stem in distilled) or 'student' in short.values():
        return [method.stem for method in methods]
    return [short[method.stem] or 'student' for method in methods]


def _rename(methods: List[Method], given: str) -> None:
    # both parts may hold an equals sign
    splits = [(given[:sign.start()], given[sign.end():].strip())
              for sign in re.finditer('=', given)]
    fitting = [(method, name) for key, name in splits for method in methods
               if key and name and _is_meant(method, key)]
    if len(fitting) != 1:
        raise ValueError(
            f'--name {given} must be WORK_DIR=NAME, with a work directory of one of '
            f'{", ".join(m.name for m in methods)}')
    method, name = fitting[0]
    method.name = name


def _is_meant(method: Method, key: str) -> bool:
    return key in (method.name, method.stem) or any(
        key == run.work_dir.name or Path(key).resolve() == run.work_dir.resolve()
        for run in method.runs)


def _folder(runs: List[TrainedRun]) -> str:
    """What the folders' names have in common, without a trailing "seed"."""
    folders = [run.work_dir.resolve().name for run in runs]
    if len(folders) == 1:
        return folders[0]
    return re.sub(r'[-_.]*(seed|s)?[-_.]*$', '', os.path.commonprefix(folders)) or folders[0]
