"""Draws how the temperature went."""
import io
from pathlib import Path
from typing import Dict, List, Sequence

from matplotlib.figure import Figure

from ..curves import Series, read_scalars
from ..log_names import LAMBDA, THETA_GRAD, LoggedTau, log_name, parse_taus
from ..whole_file import is_device, write_whole
from .folder_names import folder_names


def plot_temperatures(work_dirs: Sequence[str], out: str) -> Path:
    """Draw temperature, lambda and theta's gradient against iterations.

    Args:
        work_dirs (Sequence[str]): Runs; each of their distillation losses
            becomes a line, with a band from the smallest to the largest tau
            of a batch where they differ.
        out (str): The picture; its suffix says the format, .png without one.
            A device or pipe without a suffix takes PNG, too.

    Returns:
        Path: The picture.

    Raises:
        FileNotFoundError: if a directory holds no curves.
        OSError: if the picture cannot be written.
        ValueError: if no run has logged a temperature.
    """
    runs = dict(zip(folder_names(work_dirs), map(read_scalars, work_dirs), strict=True))
    lines = [(run, tau.loss) for run, series in runs.items()
             for tau in parse_taus(series).values() if tau.part == 'mean']
    if not lines:
        raise ValueError(f'none of {", ".join(map(str, work_dirs))} has logged a temperature')
    figure = Figure(figsize=(8, 7), layout='constrained')
    axes = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.5, 1.5))
    for colour, (run, loss) in enumerate(lines):
        label = run if len({name for _, name in lines}) == 1 else f'{run}: {loss}'
        _draw(axes, runs[run], loss, label, f'C{colour}')
    _label(axes)
    picture, content = Path(out), io.BytesIO()
    goes_on = is_device(picture) or picture.is_symlink() and picture.is_file()  # as /dev/stdout
    if not picture.suffix and not goes_on:
        picture = picture.with_name(f'{picture.name}.png')
    # in memory first: a picture goes back in its file, which a pipe cannot
    figure.savefig(content, format=picture.suffix[1:] or 'png', dpi=130)
    write_whole(picture, lambda partial: partial.write_bytes(content.getbuffer()))
    return picture


def _draw(axes: Sequence, series: Dict[str, Series], loss: str, label: str, colour: str) -> None:
    (steps, mean), (_, low), (_, high) = (
        series[LoggedTau(loss, part).name] for part in ('mean', 'min', 'max'))
    axes[0].plot(steps, mean, colour, label=f'{label} ({mean[0]:.2f} to {mean[-1]:.2f})')
    axes[0].fill_between(steps, low, high, color=colour, alpha=.2, linewidth=0)
    for axis, name in ((axes[1], LAMBDA), (axes[2], THETA_GRAD)):
        if log_name(loss, name) in series:
            axis.plot(*series[log_name(loss, name)], colour)


def _label(axes: List) -> None:
    axes[0].set_title('CTKD: the learned temperature and its curriculum')
    axes[0].set_ylabel('temperature $\\tau$')
    axes[0].legend()
    axes[1].set_ylabel('$\\lambda$')
    axes[2].set_ylabel('gradient of $\\theta$')
    axes[2].axhline(0, color='gray', linewidth=.8)
    axes[2].set_xlabel('iteration')
    for axis in axes:
        axis.grid(alpha=.3)
