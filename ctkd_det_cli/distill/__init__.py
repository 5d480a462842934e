"""``ctkd-det distill``: one line for a whole distillation."""
import shlex
from pathlib import Path
from typing import List, Optional, Sequence, Union

import click

from ..places import load_package, shipped
from ..tools import run_tool


def _complete_method(ctx: click.Context, param: click.Parameter, incomplete: str) -> List[str]:
    from .methods import fragments
    return [name for name in fragments() if name.startswith(incomplete)]


class TeacherStage(click.ParamType):
    """A stage of a cascade, from 0, or their mean."""
    name = 'stage'

    def convert(self, value: Union[int, str], param: Optional[click.Parameter],
                ctx: Optional[click.Context]) -> Union[int, str]:
        if value == 'mean' or isinstance(value, int):
            return value
        if not value.isdecimal():
            self.fail(f"{value!r} is neither 'mean' nor the number of a stage, 0 or more", param,
                      ctx)
        return int(value)


@click.command(context_settings=dict(ignore_unknown_options=True))
@click.argument('student')
@click.option('--teacher', required=True, help='its config: a name or a path')
@click.option('--teacher-ckpt', metavar='FILE|URL|auto',
              help="its weights; auto: those of MMDetection's model zoo")
@click.option('--method', default='ctkd', show_default=True, shell_complete=_complete_method,
              help='ctkd, ctkd_instance, ctkd_foreground, ctkd_class, kd, dkd, dist ...; several '
              'with +, as in ctkd+dkd; for single-stage students ctkd, kd')
@click.option('--data', type=click.Path(path_type=Path),
              help="folder of a data set in COCO's format, instead of the student's own")
@click.option('--class-mapping', type=click.Choice(['by_name']),
              help="the teacher knows the student's classes among others, or in another order")
@click.option('--inherit', multiple=True, metavar='PART',
              help="start with the teacher's weights of it: neck, rpn_head ...; may be repeated")
@click.option('--teacher-stage', type=TeacherStage(), metavar='N|mean',
              help='stage of a cascade that teaches, from 0, or the mean of all')
@click.option('--out', type=click.Path(dir_okay=False, path_type=Path),
              help='config file to write  [default: STUDENT_METHOD_TEACHER.py]')
@click.option('--work-dir', type=click.Path(file_okay=False), help='of the training')
@click.option('--dry-run', is_flag=True, help='only write the config')
@click.option('--force', is_flag=True, help='replace an edited config file')
@click.argument('train_options', nargs=-1, type=click.UNPROCESSED)
def distill(student: str, teacher: str, teacher_ckpt: Optional[str], method: str,
            data: Optional[Path], class_mapping: Optional[str], inherit: Sequence[str],
            teacher_stage: Union[int, str, None], out: Optional[Path], work_dir: Optional[str],
            dry_run: bool, force: bool, train_options: Sequence[str]) -> None:
    """Let STUDENT learn from a teacher.

    Writes the short config that the line stands for, shows it and trains it.
    STUDENT and teacher are plain configs: a path, mmdet::folder/name, or the
    bare name of a config of MMDetection or of this package. All further
    options are those of MMDetection's train.py: --resume, --amp,
    --auto-scale-lr, and --cfg-options, which are not written into the file.

    \b
    ctkd-det distill faster-rcnn_r50_fpn_1x_coco --teacher-ckpt auto \\
        --teacher faster-rcnn_r101_fpn_2x_coco
    ctkd-det distill faster-rcnn_r18_fpn_1x_coco --data my/coco \\
        --teacher my_teacher.py --teacher-ckpt my_teacher.pth --method ctkd+dkd \\
        --cfg-options train_dataloader.batch_size=4
    """
    load_package()
    from .recipe import Recipe, write
    from .zoo import find_config
    source = find_config(teacher)
    options = dict(class_mapping=class_mapping, inherit=list(inherit) or None,
                   teacher_stage=teacher_stage)
    recipe = Recipe(
        find_config(student), source, _weights(teacher_ckpt, source), method, _data(data),
        {name: value for name, value in options.items() if value is not None})
    recipe.check()
    out = (out or Path(f'{recipe.name}.py')).absolute()
    text = write(recipe, out, force)
    command = [str(out), *(['--work-dir', work_dir] if work_dir else []), *train_options]
    _show(out, text, command)
    if not dry_run:
        run_tool(shipped('ctkd_det', 'tools') / 'train.py', command)


def _data(folder: Optional[Path]):
    from .coco_folder import find_coco
    return find_coco(folder) if folder else None


def _weights(given: Optional[str], teacher) -> str:
    """Absolute path or URL of the teacher's weights."""
    from .zoo import weights_url
    if given == 'auto':
        return weights_url(teacher)
    if not given:
        raise click.UsageError('the teacher needs weights: --teacher-ckpt FILE, or auto for those '
                               "that MMDetection's model zoo publishes for its config")
    if '://' in given:
        return given
    path = Path(given).expanduser().absolute()
    if not path.is_file():
        raise click.ClickException(f'--teacher-ckpt: there is no file {path}')
    return str(path)


def _show(out: Path, text: str, command: List[str]) -> None:
    from rich.console import Console
    from rich.syntax import Syntax
    console = Console()
    console.print(f'[bold]{out}[/bold]', soft_wrap=True, highlight=False)
    # into a file or pipe as it is; a terminal may wrap it
    console.print(Syntax(text, 'python', theme='ansi_dark', word_wrap=True)
                  if console.is_terminal else text, soft_wrap=True, highlight=False, markup=False)
    console.print('$ ctkd-det train ' + shlex.join(command), style='dim', soft_wrap=True,
                  highlight=False)
