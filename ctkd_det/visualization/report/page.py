"""Fills the template: one file that needs nothing else."""
from pathlib import Path
from typing import Any, Dict

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

_HERE = Path(__file__).resolve().parent


def render(contents: Dict[str, Any], title: str) -> str:
    """The page as HTML.

    Args:
        contents (dict): What :func:`collect` returns.
        title (str): Of the page.
    """
    # everything is escaped but our own script and style and plotly's
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters.update(shown=_shown, signed=_signed, count=_count, minutes=_minutes,
                              signed_quality=_signed_quality)
    own = {name: Markup((_HERE / file).read_text(encoding='utf-8'))
           for name, file in (('style', 'style.css'), ('script', 'report.js'))}
    return environment.get_template('template.html').render(
        contents, title=title, plotly=Markup(get_plotlyjs()), **own)


def _shown(value, metric) -> str:
    return metric.words(value)


def _signed(value, metric) -> str:
    return metric.words(value, '+')


def _minutes(value) -> str:
    return '–' if value is None else f'{value:.1f}' if value < 100 else f'{value:.0f}'


def _count(value, unit) -> str:
    """Three digits at least, in this unit; a dash where there is none."""
    if value is None:
        return '–'
    value /= unit
    return f'{value:.0f}' if value >= 100 else f'{value:.3g}'


def _signed_quality(value) -> str:
    return f'{value:+.2f}'.replace('-', '−')
