"""Commands that run a tool of the tree."""
import ast
import runpy
import sys
from pathlib import Path
from typing import Any, Sequence

import click

from .mistakes import sentence
from .options import FILE, FOLDER, LAUNCHERS, Command, cfg_options, merge
from .places import keep_config, load_package, shipped
from .reading import check_parts, read_config

_CHECK = 'default_hooks.check_weights'
PASS_ON = dict(ignore_unknown_options=True, help_option_names=[])


def run_tool(script: Path, args: Sequence[str]) -> None:
    """Run a script as if it had been called, in this process.

    Raises:
        click.ClickException: if the installed packages do not work together.
    """
    if not _asks_for_help(args):
        load_package()
    sys.argv = [str(script), *args]
    sys.path.insert(0, str(script.parent))  # as for a script: its neighbours can be imported
    runpy.run_path(str(script), run_name='__main__')


def _asks_for_help(args: Sequence[str]) -> bool:
    return '-h' in args or '--help' in args


@click.command(context_settings=PASS_ON)
@click.argument('args', nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def demo(ctx: click.Context, args: Sequence[str]) -> None:
    """Distil on the embedded example: data, students, table, pictures.

    \b
    ctkd-det demo
    ctkd-det demo --quick              see that it runs
    ctkd-det demo --out work_dirs/demo
    """
    if _asks_for_help(args):
        about = ctx.get_help().partition('\n')[2]
        click.echo(f'{about}\n\nThe options are those of the tool:\n')
    run_tool(shipped('ctkd_det', 'tools') / 'demo.py', args)


@click.command()
@click.argument('work_dirs', nargs=-1, required=True, metavar='WORK_DIR...', type=FOLDER)
@click.option('--out', type=click.Path(dir_okay=False), default='temperature.png',
              show_default=True, help='picture to write')
def plot(work_dirs: Sequence[Path], out: str) -> None:
    """Draw temperature, lambda and gradient of one or more runs.

    \b
    ctkd-det plot work_dirs/my_config --out temperature.png
    """
    load_package()
    from ctkd_det.visualization.temperature import plot_temperatures
    from ctkd_det.whole_file import is_device
    try:
        picture = plot_temperatures(work_dirs, out)
        click.echo(picture, err=is_device(picture))  # not behind a picture on /dev/stdout
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


@click.command(context_settings=PASS_ON)
@click.argument('name', required=False, metavar='[NAME]')
@click.argument('args', nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def benchmark(ctx: click.Context, name: str, args: Sequence[str]) -> None:
    """List the benchmarks, or run one with its options.

    \b
    ctkd-det benchmark
    ctkd-det benchmark instance_kl --rois 512
    ctkd-det benchmark instance_kl --help
    """
    folder = shipped('ctkd_det', 'tools') / 'benchmarks'
    scripts = {path.stem: path for path in sorted(folder.glob('*.py'))
               if '__main__' in path.read_text(encoding='utf-8')}
    if name in ('-h', '--help'):
        click.echo(ctx.get_help())
    elif name is None:
        for stem, script in scripts.items():
            click.echo(f'{stem}: {_first_line(script)}')
    elif name in scripts:
        run_tool(scripts[name], args)
    else:
        raise click.BadParameter(f'{name!r} is none of {", ".join(scripts)}')


def _first_line(script: Path) -> str:
    tree = ast.parse(script.read_text(encoding='utf-8'))
    return (ast.get_docstring(tree) or '').partition('\n')[0]


@click.command(cls=Command)
@click.argument('config', type=FILE)
@click.argument('checkpoint', metavar='CHECKPOINT')
@click.option('--work-dir', type=click.Path(file_okay=False), help='where to write the metrics')
@click.option('--out', type=click.Path(dir_okay=False), metavar='FILE.pkl',
              help='where to write the detections')
@click.option('--show', is_flag=True, help='show the detections in a window')
@click.option('--show-dir', metavar='NAME', help='paint the detections into this folder of the '
              'work directory')
@click.option('--wait-time', type=float, help='seconds between two windows; 0 waits for a key')
@click.option('--tta', is_flag=True, help='test-time augmentation')
@cfg_options
@click.option('--launcher', type=LAUNCHERS, help='launcher of a distributed test')
@click.option('--verbose', is_flag=True, help='show the traceback of an error')
def test(config: Path, checkpoint: str, verbose: bool, cfg_options: Sequence[str],
         **options: Any) -> None:
    """Evaluate a checkpoint: MMDetection's test.py.

    \b
    ctkd-det test my_config.py work_dirs/my_config/epoch_12.pth
    ctkd-det test my_config.py epoch_12.pth --show-dir painted
    """
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise click.BadParameter(f'there is no file {checkpoint}', param_hint='CHECKPOINT')
    if options['out'] and not options['out'].endswith(('.pkl', '.pickle')):
        raise click.BadParameter(f'{options["out"]} does not end in .pkl', param_hint='--out')
    load_package()
    cfg = read_config(config)
    merge(cfg, cfg_options)
    check_parts(cfg, config, 'tests nothing', ('model', 'test_dataloader', 'test_evaluator'))
    if options['work_dir'] or cfg.get('work_dir'):
        keep_config(config, options['work_dir'] or cfg.work_dir)
    # 0 seconds are an answer
    words = [word for name, value in options.items() if value is not None and value is not False
             for word in (f'--{name.replace("_", "-")}', *([] if value is True else [str(value)]))]
    pairs = ['--cfg-options', *cfg_options, f'{_CHECK}.type=ctkd_det.hooks.CheckWeightsHook']
    try:
        run_tool(shipped('ctkd_det', 'tools') / 'test.py',
                 [str(config), checkpoint, *words, *pairs])
    except Exception as error:
        if verbose:
            raise
        raise click.ClickException(f'{sentence(error)}\n(--verbose shows the traceback)') from error
