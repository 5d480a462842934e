"""``ctkd-det distill``: writes a distillation config from options, and trains it."""
import copy
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple, Union

import click

from ..lasting import Lasting
from ..options import GIVEN, Command, merge
from ..places import load_package, package_dir
from ..reading import TRAINED, check_parts
from ..training import Training, training_options
from ..training.data import OWN_DATA, look_at_data, missing_data
from .beginning import check_pair_of_trainings, say_what_is_left_behind
from .methods import ALONE, check_names, check_teacher_options, fragments

if TYPE_CHECKING:
    from .recipe import Recipe
    from .zoo import Source


def _complete_method(ctx: click.Context, param: click.Parameter, incomplete: str) -> List[str]:
    return [name for name in fragments() if name.startswith(incomplete)]


class TeacherStage(click.ParamType):
    """The number of a cascade's stage, counted from 0, or 'mean' for all of them."""
    name = 'stage'

    def convert(self, value: Union[int, str], param: Optional[click.Parameter],
                ctx: Optional[click.Context]) -> Union[int, str]:
        """Parse the value."""
        if value == 'mean' or isinstance(value, int):
            return value
        if not value.isdecimal():
            self.fail(f"{value!r} is neither 'mean' nor the number of a stage, 0 or more", param,
                      ctx)
        return int(value)


@click.command(cls=Command)
@click.argument('student')
@click.option('--teacher', help="the teacher's config: a name or a path; auto: choose one of "
              "MMDetection's model zoo for this student, with its weights")
@click.option('--teacher-ckpt', metavar='FILE|URL|auto',
              help="the teacher's weights; auto: those of MMDetection's model zoo")
@click.option('--method', default='ctkd', show_default=True, shell_complete=_complete_method,
              help='logits: ctkd, ctkd_instance, ctkd_foreground, ctkd_class, kd, kd_multi, dkd, '
              'dist ...; boxes: boxkd, ld; masks: maskkd; features of RoIs: srrl, sp, pkt ...; of '
              'the neck, for any pair of detectors: pkd, fgd, mgd, reviewkd, cwd ...; rotated '
              'images: sskd; several: ctkd+boxkd; single-stage students: ctkd, kd, crosskd, boxes, '
              'features of the neck; the student is its own teacher: snapshot, frskd; no teacher: '
              'none')
@click.option('--with-baseline', is_flag=True,
              help='first train the student without a teacher, then compare both')
@click.option('--data', type=click.Path(path_type=Path),
              help="folder of a data set in COCO's format, instead of the student's own")
@click.option('--epochs', type=click.IntRange(min=1), help='number of epochs; the steps of '
              'the learning rate move in proportion')
@click.option('--batch-size', type=click.IntRange(min=1), help='batch size of one device')
@click.option('--lr', type=click.FloatRange(min=0, min_open=True),
              help='learning rate for this batch size')
@click.option('--img-scale', nargs=2, type=click.IntRange(min=1), metavar='WIDTH HEIGHT',
              help='resize images to fit into this size')
@click.option('--seed', type=click.IntRange(min=0), help='seed of initial weights and image order  '
              "[default: the student config's, or 0]")
@click.option('--class-mapping', type=click.Choice(['by_name']),
              help="match the teacher's classes to the student's by their names")
@click.option('--inherit', multiple=True, metavar='PART',
              help="part of the student that starts with the teacher's weights, for example "
              'neck; may be repeated')
@click.option('--teacher-stage', type=TeacherStage(), metavar='N|mean',
              help="stage of the teacher's cascade, counted from 0, or the mean of all stages")
@click.option('--out', type=click.Path(dir_okay=False, path_type=Path),
              help='config file to write  [default: STUDENT_METHOD_TEACHER.py, with --seed N below '
              'seed_N/]')
@click.option('--work-dir', type=click.Path(file_okay=False),
              help='folder of the training  [default: work_dirs/NAME_OF_CONFIG, for a config in '
              'seed_N/ work_dirs/seed_N/NAME_OF_CONFIG]')
@click.option('--dry-run', is_flag=True, help='only write the config')
@click.option('--force', is_flag=True, help='replace an edited config file')
@training_options
def distill(student: str, with_baseline: bool, out: Optional[Path], work_dir: Optional[str],
            dry_run: bool, force: bool, **options: Any) -> None:
    """Let STUDENT learn from a teacher.

    Writes a short config for these options, shows it and trains it. STUDENT
    and teacher are plain configs: a path, mmdet::folder/name, or the bare name
    of a config of MMDetection or of this package. --work-dir, --resume, --amp,
    --auto-scale-lr and --cfg-options apply to this training only. They are not
    written into the file.

    \b
    ctkd-det distill faster-rcnn_r50_fpn_1x_coco --teacher-ckpt auto \\
        --teacher faster-rcnn_r101_fpn_2x_coco
    ctkd-det distill faster-rcnn_r18_fpn_1x_coco --data my/coco \\
        --teacher my_teacher.py --teacher-ckpt my_teacher.pth --method ctkd+boxkd \\
        --epochs 24 --batch-size 4 --lr 0.005 --with-baseline
    """
    if with_baseline:
        check_pair_of_trainings(options['resume'], options['cfg_options'])
    if out and out.suffix != '.py':
        raise click.BadParameter(f'{out} does not end in .py', param_hint='--out')
    recipe, out = _recipe(student, out, options)
    _check_training(recipe, options['cfg_options'], dry_run)
    if with_baseline and recipe.method == ALONE:
        raise click.UsageError('--with-baseline: with --method none the student is the baseline')
    recipes = [(out, work_dir, recipe)]
    if with_baseline:
        recipes.insert(0, (out.with_name(f'{out.stem}_alone.py'),
                           f'{Path(work_dir)}_alone' if work_dir else None, recipe.baseline))
    from .data import save
    from .files import refuse_edited, signed, write
    from .rehearsal import rehearse
    texts = {path: one.text(out.parent) for path, _, one in recipes}
    if recipe.student.pure_python:
        texts[out.with_name(recipe.student.base)] = recipe.student.config.pretty_text
    texts = {path: signed(text) for path, text in texts.items()}
    refuse_edited(texts, force)
    words = ('ctkd-det', 'distill', *click.get_current_context().meta[GIVEN])
    trainings = [Training(path, folder, part_of=words if with_baseline else (), **options)
                 for path, folder, _ in recipes]
    rehearse(trainings, texts, dry_run, own_data=recipe.data is not None)
    if recipe.data:
        save(recipe.data, force)
    write(texts)
    say_what_is_left_behind(recipe.student)
    for training in trainings:
        _show(training)
    if not dry_run:
        _train(trainings)


def _recipe(student: str, out: Optional[Path],
            options: Dict[str, Any]) -> Tuple['Recipe', Path]:
    """Turn options into a recipe and the path of its config.

    These options are taken out of ``options``; the training's options stay.

    Raises:
        click.ClickException: if the options do not fit each other, or packages
            are missing or do not work together.
    """

    def take(*names: str) -> Dict[str, Any]:
        return {name: options.pop(name) for name in names}

    given = take('teacher', 'teacher_ckpt', 'method', 'data')
    changes = take('epochs', 'batch_size', 'lr', 'img_scale', 'seed')
    learning = {name: value for name, value in take(
        'class_mapping', 'inherit', 'teacher_stage').items() if value not in (None, ())}
    check_teacher_options(given, learning)
    for package in ('mmengine', 'mmdet'):  # which the next lines need
        package_dir(package)
    # quick checks come before torch is imported
    from .data import find_data
    from .zoo import find_config
    check_names(given['method'])
    data = find_data(given['data'])
    pupil = find_config(student)
    teacher, weights = _find_teacher(pupil, given['teacher'], given['teacher_ckpt'])
    load_package()
    from .changes import Changes
    from .recipe import Recipe
    if 'inherit' in learning:
        learning['inherit'] = list(learning['inherit'])
    recipe = Recipe(pupil, teacher, weights, given['method'], data, learning, Changes(**changes))
    # the report joins seeds whose configs have one name, and paths that differ in this folder
    of_seed = f'seed_{changes["seed"]}' if changes['seed'] else ''
    out = (out or Path(of_seed, f'{recipe.name}.py')).absolute()
    if out.resolve() in {source.path.resolve() for source in (pupil, teacher) if source}:
        raise click.UsageError(f'--out {out} would replace a config that the new one inherits from')
    if data:
        recipe = replace(recipe, data=data.beside(out))
    recipe.check()
    return recipe, out


def _find_teacher(pupil: 'Source', named: Optional[str],
                  weights: Optional[str]) -> Tuple[Optional['Source'], str]:
    """The teacher's config and where its weights are; None and '' if none is named."""
    from .known_teachers import known_teacher
    from .teacher_weights import find_weights
    from .zoo import find_config
    if not named:
        return None, ''
    if named == 'auto':
        named, weights = known_teacher(pupil.path.stem), weights or 'auto'
    teacher = find_config(named)
    return teacher, find_weights(weights, teacher)


def _check_training(recipe: 'Recipe', cfg_options: Sequence[str], dry_run: bool) -> None:
    """See, before a file is written, whether the training could begin.

    Raises:
        click.ClickException: if the student's config trains nothing, --cfg-options
            do not fit it, its data would teach nothing or something wrong, or they
            are not there and a training would follow.
    """
    check_parts(recipe.student.config, recipe.student.path, 'trains nothing', TRAINED)
    cfg = copy.deepcopy(recipe.student.config)
    merge(cfg, cfg_options)
    if recipe.data:  # were looked at
        return
    missing = missing_data(cfg)
    if missing and not dry_run:
        raise click.ClickException(f'{recipe.student.path}: {missing}{OWN_DATA}')
    if not missing:
        look_at_data(cfg)


def _train(trainings: Sequence[Training]) -> None:
    """One after the other; at the end, what the teacher brought."""
    from ..training.result import comparison
    from ..training.run import run
    results = [run(training, last=training is trainings[-1]) for training in trainings]
    if len(results) > 1:
        click.echo(comparison(*results), Lasting(sys.stdout))


def _show(training: Training) -> None:
    from rich.console import Console
    from rich.syntax import Syntax
    console, text = Console(file=Lasting(sys.stdout)), training.config.read_text(encoding='utf-8')
    # rich would take what stands in brackets for markup
    console.print(str(training.config), style='bold', soft_wrap=True, highlight=False, markup=False)
    # into a file or pipe as it is; a terminal may wrap it
    console.print(Syntax(text, 'python', theme='ansi_dark', word_wrap=True)
                  if console.is_terminal else text, soft_wrap=True, highlight=False, markup=False)
    console.print(f'$ {training.command()}', style='dim', soft_wrap=True, highlight=False,
                  markup=False)
