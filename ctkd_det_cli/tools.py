"""Commands that hand all their arguments on to a tool of the tree."""
import ast
import runpy
import sys
from pathlib import Path
from typing import Sequence

import click

from .places import shipped

PASS_ON = dict(ignore_unknown_options=True, help_option_names=[])


def run_tool(script: Path, args: Sequence[str]) -> None:
    """Run a script as if it had been called, in this process."""
    sys.argv = [str(script), *args]
    sys.path.insert(0, str(script.parent))  # as for a script: its neighbours can be imported
    runpy.run_path(str(script), run_name='__main__')


def _command(name: str, script: str, text: str) -> click.Command:
    """A command whose options are those of ``tools/<script>``."""

    @click.command(name, help=text, context_settings=PASS_ON)
    @click.argument('args', nargs=-1, type=click.UNPROCESSED)
    @click.pass_context
    def command(ctx: click.Context, args: Sequence[str]) -> None:
        if '-h' in args or '--help' in args:
            about = ctx.get_help().partition('\n')[2]
            click.echo(f'{about}\n\nThe options are those of the tool:\n')
        run_tool(shipped('ctkd_det', 'tools') / script, args)

    return command


demo = _command('demo', 'demo.py', """\
Distil on the embedded example: data, three students, table, pictures.

\b
ctkd-det demo --quick              4 minutes on 2 cores
ctkd-det demo --out work_dirs/demo
""")
train = _command('train', 'train.py', """\
Train a config: MMDetection's train.py, with all its options.

\b
ctkd-det train my_config.py
ctkd-det train my_config.py --work-dir work_dirs/mine --resume
ctkd-det train my_config.py --cfg-options train_dataloader.batch_size=4
""")
test = _command('test', 'test.py', """\
Evaluate a checkpoint: MMDetection's test.py, with all its options.

\b
ctkd-det test my_config.py work_dirs/my_config/epoch_12.pth
ctkd-det test my_config.py epoch_12.pth --show-dir painted
""")
plot = _command('plot', 'analysis_tools/plot_temperature.py', """\
Draw temperature, lambda and gradient of one or more runs.

\b
ctkd-det plot work_dirs/my_config --out temperature.png
""")


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
