"""``ctkd-det replay``: repeats the training step in which a loss became NaN or infinite."""
from pathlib import Path
from typing import Optional

import click

from .mistakes import sentence
from .options import FILE
from .places import load_package
from .reading import find_modules_beside

SHOWN = 10


@click.command()
@click.argument('file', type=FILE)
@click.option('--config', type=FILE, help='config of the training  [default: the one beside FILE]')
@click.option('--device', default='cpu', show_default=True, help='cpu or cuda')
def replay(file: Path, config: Optional[Path], device: str) -> None:
    """Show where a training step stops being finite.

    FILE is what a training writes when a loss is NaN or infinite,
    not_finite_iter_N.pth in its work directory. The config beside it is run
    as Python: replay files of your own trainings only.

    \b
    ctkd-det replay work_dirs/my_config/not_finite_iter_38.pth
    """
    load_package()
    from ctkd_det.replay import replay as run
    find_modules_beside(config or file)
    try:
        step, losses, found = run(file, config, device)
    except (OSError, RuntimeError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    except Exception as error:  # a config is code, which fails in any way there is
        raise click.ClickException(sentence(error)) from error
    click.echo(f'Iteration {step["iteration"] + 1}, epoch {step["epoch"] + 1}')
    for name, then in step['losses'].items():
        click.echo(f'  {name}: {then:g} in the training, {losses.get(name, float("nan")):g} now')
    for finding in found[:SHOWN]:
        click.echo(f'Not finite: {finding}')
    if len(found) > SHOWN:
        click.echo(f'... and {len(found) - SHOWN} more after these')
    if not found:
        click.echo('All that the modules receive and return is finite.')
