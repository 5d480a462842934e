"""How each learned temperature went, in words, and between which bounds."""
import inspect
from math import isfinite
from typing import Dict, List, Optional, Tuple

from mmdet.registry import MODELS

from ...configs import known_class
from ...curves import Series
from ...log_names import LoggedTau, short_name, telling_taus
from .methods import Method
from .runs import TrainedRun
from .study import Study

Bounds = Tuple[float, float]
# of the bounds' width, or of the temperature where there are none
_NEAR = 0.02
# by the source of a loss
_DIVIDED = dict(distributions='boxes', vlr='boxes', masks='masks')
# groups that are named one by one
_FEW = 3


def temperature_words(study: Study) -> List[dict]:
    """A sentence on each method's temperatures, by the method's name and colour."""
    words = []
    for method in study.methods:
        sentences = _of_method(method)
        if sentences:
            words.append(dict(name=method.name, colour=method.colour, text=' '.join(sentences)))
    return words


def divided_by(run: TrainedRun, loss: str) -> str:
    """What a loss's temperature divides by the run's config: '' of classes, else 'boxes', 'masks'.

    Args:
        run (TrainedRun): The run.
        loss (str): Short name of the loss.
    """
    config = run.losses.get(loss, {})
    kind = known_class(MODELS, config.get('type'))
    return _DIVIDED.get(config.get('source', getattr(kind, 'source', '')), '')


def bounds_of(run: TrainedRun, loss: str) -> Optional[Bounds]:
    """The bounds of a loss's learned temperature by the run's config; None if it has none.

    Args:
        run (TrainedRun): The run.
        loss (str): Short name of the loss.
    """
    temperature = run.losses.get(loss, {}).get('temperature')
    if isinstance(temperature, str):  # another loss's
        temperature = run.losses.get(short_name(temperature), {}).get('temperature')
    cls = known_class(MODELS, temperature.get('type')) if isinstance(temperature, dict) else None
    if cls is None:
        return None
    defaults = {name: parameter.default
                for name, parameter in inspect.signature(cls.__init__).parameters.items()}
    low, width = (temperature.get(key, defaults.get(key)) for key in ('tau_min', 'tau_range'))
    numbers = isinstance(low, (int, float)) and isinstance(width, (int, float))
    return (float(low), float(low + width)) if numbers else None


def _of_method(method: Method) -> List[str]:
    """The paths of its first run, and over how far the other seeds ended."""
    run = next((r for r in method.runs if telling_taus(r.scalars)), None)
    if run is None:
        return []
    by_loss: Dict[str, List[LoggedTau]] = {}
    for tau in telling_taus(run.scalars).values():
        by_loss.setdefault(tau.loss, []).append(tau)
    sentences = []
    for loss, taus in by_loss.items():
        bounds = bounds_of(run, loss)
        name = f'τ of {loss}' if len(by_loss) > 1 else 'τ'
        divided = divided_by(run, loss)
        name += f' ({divided})' if divided else ''
        if len(taus) > _FEW:
            sentences.append(_many(name, taus, run, bounds))
            continue
        for tau in taus:
            group = f' for the {tau.part.replace("_", " ")}' if tau.is_group else ''
            sentences.append(f'{name}{group} {_path(run.scalars[tau.name], bounds)}'
                             f'{_seeds(method, tau)}.')
        if bounds:
            sentences.append(f'Its bounds are {bounds[0]:g} and\N{NO-BREAK SPACE}{bounds[1]:g}.')
    return sentences


def _path(series: Series, bounds: Optional[Bounds]) -> str:
    """``went from 1.00 to 1.62 and was still rising``."""
    steps, values = series
    first, last = values[0], values[-1]
    lost = [step for step, value in zip(steps, values, strict=True) if not isfinite(value)]
    if lost:
        begin = f'went from {first:.2f} to' if lost[0] > steps[0] else 'was'
        return f'{begin} NaN at iteration {lost[0]:g}'
    width = bounds[1] - bounds[0] if bounds else last
    if bounds is None and max(values) - min(values) <= _NEAR * abs(last):
        return f'was {last:.2f} throughout'
    words = f'went from {first:.2f} to {last:.2f}'
    if bounds and min(last - bounds[0], bounds[1] - last) <= _NEAR * width:
        side = 'upper' if bounds[1] - last < last - bounds[0] else 'lower'
        return f'{words} and ended at its {side} bound'
    late = last - values[-1 - len(values) // 10 - (len(values) > 1)]
    if abs(late) > _NEAR * width / 2:
        return f'{words} and was still {"rising" if late > 0 else "falling"}'
    moved = abs(last - first) > _NEAR * width
    return f'{words} and had come to rest' if moved else f'{words}: it hardly moved'


def _seeds(method: Method, tau: LoggedTau) -> str:
    """Between which values the seeds ended, if there are several."""
    ends = [run.scalars[tau.name][1][-1] for run in method.runs if tau.name in run.scalars]
    lost = sum(not isfinite(end) for end in ends)
    if lost and len(ends) > 1:
        return f' ({lost} of {len(ends)} seeds ended in NaN)'
    if len(ends) < 2 or max(ends) - min(ends) < 0.005:
        return ''
    return f' ({len(ends)} seeds ended between {min(ends):.2f} and {max(ends):.2f})'


def _many(name: str, taus: List[LoggedTau], run: TrainedRun, bounds: Optional[Bounds]) -> str:
    """The extremes of many groups."""
    last = {tau.part.replace('_', ' '): run.scalars[tau.name][1][-1] for tau in taus}
    lost = sum(not isfinite(value) for value in last.values())
    if lost:
        return f'{name} of {lost} among {len(last)} groups ended in NaN.'
    low, high = min(last, key=last.get), max(last, key=last.get)
    within = f', within bounds of {bounds[0]:g} and {bounds[1]:g}' if bounds else ''
    return (f'{name} of {len(last)} groups ended between {last[low]:.2f} ({low}) and '
            f'{last[high]:.2f} ({high}){within}.')
