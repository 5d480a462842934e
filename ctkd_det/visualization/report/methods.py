"""Runs that differ in nothing but their seed are one method, and it has a name."""
import os
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Dict, List, Optional, Sequence, Union

from ..folder_names import folder_names
from .metrics import Metric
from .runs import TrainedRun

# a name of more letters is made short where all begin or end alike
_LONG = 24
# Okabe and Ito's colours, without those that vanish on white or on black
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#B8860B', '#882255', '#44AA99')
DASHES = ('solid', 'dash', 'dot', 'dashdot')
TEACHER = 'teacher'  # key of one that is not among the runs
BASELINE_COLOUR, TEACHER_COLOUR = '#808890', '#9A7B4F'


@dataclass(eq=False)  # each is itself alone, and can be a key
class Method:
    """Runs that differ in nothing but their seed.

    Attributes:
        name: What it is called.
        stem: Name of its config file.
        runs: Its runs.
        role: 'baseline', 'teacher', 'distilled' or 'plain'.
        colour: Of its lines and bars, everywhere.
        dash: Of its lines, which tells more methods apart than there are colours.
        key: By which the page knows its traces.
        taught_by: Its teacher; None without one, or if it teaches itself.
        alone: The student alone with which it is compared, itself if it is that.
    """
    name: str
    stem: str
    runs: List[TrainedRun]
    role: str = 'plain'
    colour: str = COLOURS[0]
    dash: str = DASHES[0]
    key: str = ''
    taught_by: Optional['Teacher'] = None
    alone: Optional['Method'] = None

    @property
    def distilled(self) -> bool:
        """bool: Whether it has a teacher."""
        return self.runs[0].distilled

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


# a training among the runs, or the checkpoint of another
Teacher = Union[Method, str]


def group_runs(runs: List[TrainedRun], names: Sequence[str] = ()) -> List[Method]:
    """Runs whose configs differ in nothing but the seed become one method, with a name.

    Args:
        runs (list[TrainedRun]): They are given names, too.
        names (Sequence[str]): ``WORK_DIR=NAME``, or ``CONFIG=NAME``, to call a
            method otherwise.

    Raises:
        ValueError: if one of ``names`` fits no method or several, or names it
            like another.
    """
    methods: Dict[str, Method] = {}
    for run in runs:
        same = {key: _without_seed(value, run.seed) for key, value in run.settings.items()
                if key != 'randomness.seed'}
        methods.setdefault(f'{run.stem} {sorted(same.items(), key=repr)!r}',
                           Method(run.stem, run.stem, [])).runs.append(run)
    found = list(methods.values())
    _name(found)
    for given in names:
        _rename(found, given)
    for method in found:
        seeds = [run.seed for run in method.runs]
        for run, seed, folder in zip(method.runs, seeds, _folders(method), strict=True):
            label = f'seed {seed}' if seed is not None else folder
            if seed is not None and seeds.count(seed) > 1:
                label += f' ({folder})'
            run.name = f'{method.name}, {label}' if len(method.runs) > 1 else method.name
    return found


def repeated_seeds(methods: List[Method]) -> List[str]:
    """A sentence for each seed that several runs of a method have."""
    notes = []
    for method in methods:
        by_seed: Dict[Optional[int], List[str]] = {}
        for run, folder in zip(method.runs, _folders(method), strict=True):
            by_seed.setdefault(run.seed, []).append(folder)
        notes += [f'The runs {" and ".join(same)} of {method.name} have the same seed, {seed}. '
                  'They count as several, but their difference is not one between seeds.'
                  for seed, same in by_seed.items() if seed is not None and len(same) > 1]
    return notes


def _folders(*methods: Method) -> List[str]:
    return folder_names([run.work_dir.resolve() for method in methods for run in method.runs])


def _without_seed(value: Any, seed: Optional[int]) -> Any:
    """A path into a seed's own folder, such as that of its initial weights, is the same for all.

    The first seed may have no such folder.
    """
    return re.sub(rf'seed_{seed}\b[/\\]?', '', value) if isinstance(value, str) else value


def _name(methods: List[Method]) -> None:
    """Config files' names made short; where several methods share one, also their folders'."""
    for method, short in zip(methods, _short_names(methods), strict=True):
        method.name = short
    for stem in {method.stem for method in methods}:
        sharing = [method for method in methods if method.stem == stem]
        folders = iter(_folders(*sharing))
        for method in sharing:
            own = list(islice(folders, len(method.runs)))
            method.name += f' ({_common(own)})' if len(sharing) > 1 else ''
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
    if any(other.name == name for other in methods if other is not method):
        raise ValueError(f'--name {given}: another method is called {name}')
    method.name = name


def _is_meant(method: Method, key: str) -> bool:
    return key in (method.name, method.stem) or any(
        key == run.work_dir.name or Path(key).resolve() == run.work_dir.resolve()
        for run in method.runs)


def _common(folders: List[str]) -> str:
    """What the folders of a method have in common, without a trailing "seed"."""
    if len(folders) == 1:
        return folders[0]
    return re.sub(r'[-_./]*(seed|s)?[-_./]*$', '', os.path.commonprefix(folders)) or folders[0]
