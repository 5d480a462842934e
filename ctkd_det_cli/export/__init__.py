"""``ctkd-det export``: writes the student without its distillation."""
import shlex
from pathlib import Path
from typing import Any, Optional, Tuple

import click

from ..options import FILE, Command
from ..places import load_package
from ..reading import read_config
from .onnx_arguments import check_onnx_options, onnx_options


@click.command(cls=Command)
@click.argument('source', type=click.Path(exists=True, path_type=Path), metavar='WORK_DIR|CONFIG')
@click.argument('checkpoint', type=FILE, required=False)
@click.option('--out', required=True, type=click.Path(file_okay=False, path_type=Path),
              help='folder to write to')
@click.option('--last', is_flag=True,
              help='the last checkpoint of WORK_DIR, even if it has a best one')
@click.option('--ema/--no-ema', default=None,
              help='averaged weights or those of the optimizer  [default: averaged, if there are]')
@click.option('--shape', nargs=2, type=click.IntRange(min=1), metavar='HEIGHT WIDTH',
              help="count operations at this size  [default: the test pipeline's]; with --format "
              'onnx the file takes this size alone  [default: any]')
@click.option('--format', 'format_', type=click.Choice(['mmdet', 'onnx']), default='mmdet',
              show_default=True, help='onnx: an ONNX file as well, compared with mmdet')
@onnx_options
def export(source: Path, checkpoint: Optional[Path], out: Path, last: bool, ema: Optional[bool],
           shape: Optional[Tuple[int, int]], format_: str, **onnx: Any) -> None:
    """Write the plain student of a distillation.

    A checkpoint with the student's weights alone, and a config of plain
    MMDetection beside it, which loads it strictly: MMDetection's tools
    take them as they are. From a work directory it reads the config
    as it was trained, --cfg-options included, and the best checkpoint, or
    the last one if none was kept as the best.

    \b
    ctkd-det export work_dirs/my_config --out student
    ctkd-det export my_config.py work_dirs/my_config/epoch_12.pth --out student
    ctkd-det export work_dirs/my_config --out student --format onnx --int8
    """
    if source.is_file() and checkpoint is None:
        raise click.UsageError(f'which checkpoint? ctkd-det export {shlex.quote(str(source))} '
                               'CHECKPOINT, or ctkd-det export WORK_DIR')
    if checkpoint is not None and last:
        raise click.UsageError(f'--last looks for a checkpoint, and {checkpoint} is one: leave one '
                               'of them out')
    options = check_onnx_options(format_, shape, onnx)
    load_package()
    from rich.console import Console
    from rich.table import Table

    from .onnx import is_plain, plain_checkpoint, write_onnx
    from .source import differences, find_exportable
    from .student import export_student
    from .usage import usage
    found = find_exportable(source, checkpoint, last)
    cfg = read_config(found.config)  # says so if one of its modules is not found
    different = differences(found.config, found.checkpoint)
    if different:
        more = f' and {len(different) - 8} more' if len(different) > 8 else ''
        again = shlex.join(['ctkd-det', 'export', str(found.checkpoint.parent), '--out', str(out)])
        click.echo(f'Warning: {found.checkpoint} was trained with other settings than '
                   f'{found.config} says: {", ".join(different[:8])}{more}. To export it as it '
                   f'was trained: {again}'
                   + ' --format onnx' * bool(options), err=True)
    if options and is_plain(cfg):  # such as the student alone, to which others are compared
        write_onnx(cfg, plain_checkpoint(found.checkpoint, ema), out / f'{found.name}.onnx',
                   options)
        return
    exported = export_student(found.config, found.checkpoint, out, ema, shape, found.name)
    table = Table('', 'student', show_header=False)
    for title, fact in exported.facts.items():
        table.add_row(title, fact)
    Console().print(table)
    click.echo(exported.config)
    click.echo(exported.checkpoint)
    click.echo(usage(exported, found.config))
    if options:
        write_onnx(read_config(exported.config), plain_checkpoint(exported.checkpoint),
                   exported.config.with_suffix('.onnx'), options)
