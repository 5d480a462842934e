"""The report's plots.

Every trace carries its method's key in ``meta``, by which the page's legend
hides it; colours of text and grid are left to the page, which knows whether
it is dark.
"""
import json
import math
from html import escape
from typing import Dict, List, Optional, Sequence, Set, Tuple

import plotly.graph_objects as go

from ...curves import Series
from ...log_names import LAMBDA, LoggedTau, parse_level, short_name, telling_taus
from .methods import Method
from .runs import TrainedRun
from .study import Study
from .temperature_words import bounds_of, divided_by

# more points than this do not show in a plot of a page's width
_POINTS = 500
_GROUP_DASHES = dict(background='dot', teacher='dot')

Figures = Dict[str, dict]  # title -> figure as plotly.js takes it


def metric_figures(study: Study) -> Figures:
    """Each validation metric against epochs, a line for each run."""
    figures = {}
    for metric in study.metrics:
        digits = '.1f' if metric.percent else '.4g'
        traces = [_line(method, run, run.curve(metric), 'lines+markers', digits)
                  for method, run in _runs(study)
                  if any(value is not None for value in run.curve(metric)[1])]
        if traces:
            title = f'{metric.title} in %' if metric.percent else metric.title
            figures[metric.title] = _figure(traces, x=_unit(study), y=title)
            if max(max(trace.x) for trace in traces) <= 15:  # no halves of epochs
                figures[metric.title]['layout']['xaxis']['dtick'] = 1
    return figures


def temperature_figure(study: Study) -> Optional[dict]:
    """Temperatures, lambda and learning rate above one another, against iterations."""
    traces: List[go.Scatter] = []
    for method, run in _runs(study):
        taus = telling_taus(run.scalars)
        for name, tau in taus.items():
            line = _line(method, run, run.scalars[name], 'lines', '.3f',
                         _spoken(tau, len({other.loss for other in taus.values()}) > 1,
                                 divided_by(run, tau.loss)))
            line.line.dash = _GROUP_DASHES.get(tau.part, method.dash)
            line.line.width = 1 if tau.part.startswith('class_') else 2
            traces.append(line)
        traces += _bound_lines(method, run, {tau.loss for tau in taus.values()})
        for name in run.scalars:
            if name.endswith(f'.{LAMBDA}'):
                traces.append(_line(method, run, run.scalars[name], 'lines', '.3f', axis='y2'))
        if 'lr' in run.scalars and taus:
            traces.append(_line(method, run, run.scalars['lr'], 'lines', '.3g', axis='y3'))
    if not traces:
        return None
    figure = go.Figure(traces)
    figure.update_layout(
        xaxis=dict(title='iteration', anchor='y3'),
        yaxis=dict(title='temperature τ', domain=[.48, 1]),
        yaxis2=dict(title='λ', domain=[.24, .43], rangemode='tozero'),
        yaxis3=dict(title='learning rate', domain=[0, .19], rangemode='tozero',
                    exponentformat='power'))
    return _plain(figure, height=560)


def _bound_lines(method: Method, run: TrainedRun, losses: Set[str]) -> List[go.Scatter]:
    """Thin lines at the bounds of a method's temperatures, once for all its seeds."""
    if run is not method.runs[0]:
        return []
    lines = []
    for bounds in {bounds_of(run, loss) for loss in losses} - {None}:
        end = max(run.scalars[name][0][-1] for name in telling_taus(run.scalars))
        for word, bound in zip(('lower', 'upper'), bounds, strict=True):
            line = _line(method, run, ([0, end], [bound] * 2), 'lines', 'g')
            line.line.update(width=1, dash='longdash')
            line.opacity = 0.55
            line.name = f'{escape(method.name)}: {word} bound'
            line.hovertemplate = f'{line.name} %{{y:g}}<extra></extra>'
            lines.append(line)
    return lines


def loss_figures(study: Study) -> Figures:
    """Every loss against iterations; the total first, then the distillation losses.

    At the end, the levels of losses between features.
    """
    names = {name for _, run in _runs(study) for name in run.scalars
             if name.split('.')[-1].startswith('loss') and '/' not in name}
    distillation = {loss for _, run in _runs(study) for loss in run.losses}
    figures = {}
    # of a stage of a cascade s0.loss_kd
    for name in sorted(names, key=lambda n: (
            n != 'loss', short_name(n.rpartition('.')[2]) not in distillation, n)):
        traces = [_line(method, run, run.scalars[name], 'lines', '.4g')
                  for method, run in _runs(study) if name in run.scalars]
        figures[name] = _figure(traces, x='iteration', y='', height=260)
    return {**figures, **_level_figures(study)}


def _level_figures(study: Study) -> Figures:
    """The values of a feature loss's levels, before its weight, in one plot."""
    traces: Dict[str, List[go.Scatter]] = {}
    for method, run in _runs(study):
        for name, level in ((name, parse_level(name)) for name in run.scalars):
            if level:
                line = _line(method, run, run.scalars[name], 'lines', '.4g', level[1])
                line.line.width = 1
                traces.setdefault(f'{level[0]}, each level', []).append(line)
    return {title: _figure(lines, x='iteration', y='', height=260)
            for title, lines in traces.items()}


def per_class_figure(rows: Dict[Method, Dict[str, Tuple[float, float, float]]],
                     study: Study) -> dict:
    """Differences in AP from the baseline, a row for each class.

    Args:
        rows (dict): Method -> class -> (mean, lowest, highest) difference
            over the seeds, in points.
        study (Study): For colours.
    """
    order = sorted(next(iter(rows.values())), key=lambda c: next(iter(rows.values()))[c][0])
    traces = []
    for method in study.methods:
        values = rows.get(method)
        if not values:
            continue
        classes = [c for c in order if c in values]
        mean, low, high = (list(v) for v in zip(*(values[c] for c in classes), strict=True))
        traces.append(go.Scatter(
            x=[round(v, 2) for v in mean], y=[escape(c) for c in classes], mode='markers',
            name=escape(method.name), meta=method.key,
            marker=dict(color=method.colour, size=9,
                        symbol='circle' if method.dash == 'solid' else 'diamond'),
            error_x=dict(type='data', symmetric=False, visible=len(method.runs) > 1,
                         thickness=1, width=0,
                         array=[round(h - m, 2) for h, m in zip(high, mean, strict=True)],
                         arrayminus=[round(m - lo, 2) for m, lo in zip(mean, low, strict=True)]),
            hovertemplate=f'{escape(method.name)}<br>%{{y}}: %{{x:+.1f}} AP<extra></extra>'))
    figure = go.Figure(traces)
    figure.update_layout(xaxis=dict(title='difference in AP, points', zeroline=True),
                         yaxis=dict(type='category', dtick=1))
    return _plain(figure, height=120 + 24 * len(order))


def knowledge_figure(classes: Sequence[str], taus: Sequence[float],
                     answers: Sequence[Tuple[str, str, str, Sequence[Sequence[float]]]]) -> dict:
    """Class probabilities of one object as horizontal bars, at each temperature beside the other.

    Args:
        classes (Sequence[str]): Names, the background last.
        taus (Sequence[float]): The temperatures.
        answers (Sequence[tuple]): Title, colour, key of the method, and at each
            temperature probabilities of each detector, the teacher first. One
            with sigmoids has none for the background.
    """
    at_last = [p[-1] for *_, p in answers]
    shown = sorted(range(len(classes)),
                   key=lambda c: -max(float(p[c]) for p in at_last if c < len(p)))[:6]
    shown.sort(key=lambda c: at_last[0][c] if c < len(at_last[0]) else 0)
    figure = go.Figure([
        go.Bar(y=[escape(classes[c]) for c in shown], xaxis=f'x{i + 1}',
               x=[round(float(p[i][c]), 4) if c < len(p[i]) else None for c in shown],
               orientation='h', name=escape(title), marker=dict(color=colour), meta=key,
               hovertemplate=f'{escape(title)}<br>%{{y}}: %{{x:.1%}}<extra></extra>')
        for i in range(len(taus)) for title, colour, key, p in reversed(answers)])
    share = 1 / len(taus)
    figure.update_layout(
        barmode='group', bargap=.25, hovermode='closest', yaxis=dict(type='category', dtick=1),
        **{f'xaxis{i + 1}': dict(title=f'τ = {tau:.3g}', tickformat='.0%', rangemode='tozero',
                                 nticks=4, matches='x', domain=[i * share, (i + .88) * share])
           for i, tau in enumerate(taus)})
    return _plain(figure, height=230)


def _runs(study: Study) -> List[Tuple[Method, TrainedRun]]:
    return [(method, run) for method in study.methods for run in method.runs]


def _unit(study: Study) -> str:
    return ' or '.join(sorted({run.length[1] for _, run in _runs(study)}))


def _spoken(tau: LoggedTau, several: bool, divided: str) -> str:
    """``ctkd.tau_class_3`` as "class 3", with the loss if there are several, and "boxes"."""
    part = tau.part.replace('_', ' ') if tau.is_group else ''
    return ', '.join(word for word in (tau.loss if several else '', divided, part) if word)


def _line(method: Method, run: TrainedRun, series: Series, mode: str, digits: str,
          suffix: str = '', axis: str = 'y') -> go.Scatter:
    steps, values = _thin(series)
    # a loss that became nan or infinite leaves a gap; JSON has no word for it
    shown = [float(f'{v:.5g}') if v is not None and math.isfinite(v) else None for v in values]
    if len(steps) - shown.count(None) == 1:  # a line through one point cannot be seen
        mode = 'lines+markers'
    name = escape(f'{run.name}: {suffix}' if suffix else run.name)
    return go.Scatter(
        x=steps, y=shown, mode=mode, name=name, meta=method.key,
        yaxis=axis, line=dict(color=method.colour, dash=method.dash, width=2),
        marker=dict(size=6),
        hovertemplate=f'{name}<br>%{{x}}: %{{y:{digits}}}<extra></extra>')


def _thin(series: Series) -> Series:
    """Every k-th point and the last."""
    steps, values = series
    every = -(-len(steps) // _POINTS)
    kept = sorted({*range(0, len(steps), max(1, every)), len(steps) - 1}) if steps else []
    return [steps[i] for i in kept], [values[i] for i in kept]


def _figure(traces: list, x: str, y: str, height: int = 420) -> dict:
    figure = go.Figure(traces)
    figure.update_layout(xaxis=dict(title=x), yaxis=dict(title=y))
    return _plain(figure, height)


def _plain(figure: go.Figure, height: int) -> dict:
    figure.update_layout(template='none', height=height, showlegend=False, hovermode='closest',
                         margin=dict(l=56, r=12, t=12, b=48))
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return json.loads(figure.to_json())
