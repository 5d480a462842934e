"""``ctkd-det doctor``: checks the installation, data, configs and checkpoints."""
from pathlib import Path
from typing import List, Optional

import click

from ctkd_det_data import FAIL, OK, WARN
from .rows import Row

STYLES = {OK: 'green', WARN: 'yellow', FAIL: 'bold red'}


@click.command()
@click.option('--data', type=click.Path(path_type=Path),
              help='folder of a data set  [default: data/coco, which may be absent]')
@click.option('--config', type=click.Path(dir_okay=False, path_type=Path),
              help="a distillation config: can its teacher's weights be had?")
@click.option('--timeout', default=5.0, show_default=True, help='seconds to wait for a server')
@click.option('--fix', is_flag=True,
              help="write mmcv-lite's missing operators, so that mmdet's own tools run")
@click.pass_context
def doctor(ctx: click.Context, data: Optional[Path], config: Optional[Path], timeout: float,
           fix: bool) -> None:
    """Check versions, operators, GPU, data and checkpoints.

    Says how to mend what is wrong; the exit status is 1 if anything fails.
    Nothing is changed without --fix, which writes one file, _ext.py, into
    mmcv-lite; delete that file to undo it.

    \b
    ctkd-det doctor
    ctkd-det doctor --data my/coco --config my_config.py
    """
    if fix:
        from .ops_file import write_ops_file
        click.echo(f'{write_ops_file()} is written; delete it to undo this')
    rows = _look(data, config, timeout)
    _show(rows)
    ctx.exit(any(row.state == FAIL for row in rows))


def _look(data: Optional[Path], config: Optional[Path], timeout: float) -> List[Row]:
    from .data import check_data
    from .packages import check_packages
    from .probes import check_config, check_gpu, check_ops
    rows = [*check_packages(), *check_ops(), *check_gpu(),
            *check_data(data or Path('data/coco'), asked=data is not None)]
    return rows + (list(check_config(config, timeout)) if config else [])


def _show(rows: List[Row]) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text
    table = Table('', 'state', Column('found', overflow='fold'))
    for row in rows:
        table.add_row(Text(row.what), Text(row.state, STYLES[row.state]), Text(row.found))
    console = Console()
    console.print(table)
    bad = [row for row in rows if row.state != OK and row.mend]
    if bad:  # below, so that commands can be copied
        click.echo('What mends it:')
    for row in bad:
        click.echo(f'  {row.state} {row.what}: {row.mend}')
