"""The whole job on the embedded example: data, teacher, students, table, pictures.

Students with the same initial weights and the same order of images learn side
by side: alone and with CTKD, or with the methods of ``--methods``.
Interrupt at will; the same command goes on from the last finished epoch.
"""
import argparse
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import click
from pycocotools.coco import COCO
from rich.table import Table

from ctkd_det.datasets.shapes_generator import ShapesConfig, generate
from ctkd_det.log_names import LoggedTau
from ctkd_det.runs import Run, RunFailed, console, evaluate, train
from ctkd_det.visualization.comparison import compare_detectors
from ctkd_det.visualization.temperature import plot_temperatures
from ctkd_det_cli.distill.changes import Changes
from ctkd_det_cli.distill.methods import ALONE, check_names, teaches_itself
from ctkd_det_cli.distill.recipe import Recipe
from ctkd_det_cli.distill.zoo import find_config

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / 'configs' / 'shapes'
# in a checkout beside the tools; an installed package is no place to write to
HOME = ROOT if (ROOT / 'ctkd_det').is_dir() else Path.cwd()
TITLES = dict(student='student alone', kd='KD, tau = 1', ctkd='CTKD')
METRICS = dict(mAP='coco/bbox_mAP', AP50='coco/bbox_mAP_50', AP75='coco/bbox_mAP_75')
QUICK = 'After 2 epochs of few images: this shows that everything runs, not which method is better.'


class Length(NamedTuple):
    """How long a demo is.

    Attributes:
        images: For training; a quarter as many for validation.
        epochs: Of each student.
        methods: Besides the student alone.
        backbone: Whose backbone the students begin with; None: a new one.
    """
    images: int
    epochs: int
    methods: Tuple[str, ...]
    backbone: Optional[Path] = None


LENGTHS = dict(
    short=Length(2000, 4, ('ctkd', ), CONFIGS / 'student.pth'),
    full=Length(4000, 8, ('kd', 'ctkd')),
    quick=Length(500, 2, ('ctkd', ), CONFIGS / 'student.pth'))
RANGE = ('One seed. The processor and the number of threads move these numbers, too: docs/index.md '
         'has those of several machines.')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    length = parser.add_mutually_exclusive_group()
    length.add_argument('--full', action='store_const', dest='length', const='full',
                        help='8 epochs of 4,000 images instead of 4 of 2,000, from scratch '
                             'instead of a trained backbone, and with KD, too')
    length.add_argument('--quick', action='store_const', dest='length', const='quick',
                        help='2 epochs of 500 images: shows that it runs, not which method is '
                             'better')
    parser.add_argument('--train-teacher', action='store_true',
                        help='train the teacher anew instead of loading the one in the tree')
    parser.add_argument('--seed', type=int, default=0, help='of initial weights and image order')
    parser.add_argument('--images', type=int,
                        help='training images, 2,000, with --full 4,000, with --quick 500; a '
                             'quarter as many for validation')
    parser.add_argument('--methods', type=methods, metavar='NAME,NAME+NAME',
                        help='as in ctkd-det distill --method: kd,ctkd,boxkd,ctkd+boxkd')
    parser.add_argument('--out', type=Path, default=HOME / 'work_dirs' / 'demo',
                        help='folder of the runs and pictures')
    args = parser.parse_args()
    args.length = args.length or 'short'
    length = LENGTHS[args.length]
    args.images, args.methods = args.images or length.images, args.methods or length.methods
    return args


def methods(text: str) -> List[str]:
    names = list(dict.fromkeys(filter(None, text.split(','))))
    try:
        for name in names:
            check_names(name)
    except click.ClickException as error:
        raise argparse.ArgumentTypeError(error.message) from error
    if not names or ALONE in names:
        raise argparse.ArgumentTypeError('name methods; the student alone learns anyway')
    return names


def main() -> None:
    args = parse_args()
    folder = args.out / '_'.join([
        args.length, str(args.images), f'seed{args.seed}',
        *(['own_teacher'] if args.train_teacher else [])])
    try:
        console.rule('Data')
        data = make_data(args.images)
        console.rule('Teacher')
        teacher = find_teacher(args, data)
        console.rule(f'{len(args.methods) + 1} students')
        runs = make_runs(args, folder, data, teacher)
        train(list(runs.values()))
        console.rule('Results')
        pictures = draw(runs, teacher, data, folder)
        report(runs, teacher, data, folder)
        console.print(QUICK if args.length == 'quick' else RANGE, soft_wrap=True)
        pictures.update(deploy(list(runs.values())[-1], data, folder / 'deployed'))
        for title, path in pictures.items():
            print(f'{title}: {path}')
    except KeyboardInterrupt:
        console.print('\nStopped. The same command goes on from the last finished epoch.')
        sys.exit(130)
    except RunFailed as error:
        sys.exit(str(error))


def make_data(images: int) -> Path:
    data = HOME / 'data' / ('shapes' if images == 4000 else f'shapes_{images}')
    for seed, (name, number) in enumerate((('train', images), ('val', images // 4))):
        print(generate(data, name, ShapesConfig(number, seed=seed)))
    return data


def data_options(data: Path) -> List[str]:
    loaders = [f'{part}_dataloader.dataset.data_root={data}' for part in ('train', 'val', 'test')]
    return loaders + [f'{part}_evaluator.ann_file={data}/val.json' for part in ('val', 'test')]


def find_teacher(args: argparse.Namespace, data: Path) -> Path:
    if not args.train_teacher:
        shipped = CONFIGS / 'teacher.pth'
        console.print(f'{shipped} comes with the repository; configs/shapes/README.md says how it '
                      'was made.\nTo train it anew, half an hour more: make demo '
                      'ARGS=--train-teacher', soft_wrap=True)
        return shipped
    run = Run('teacher', CONFIGS / 'teacher.py', args.out / f'teacher_{args.images}', 16,
              ['randomness.seed=0', *data_options(data)])
    train([run])
    return run.checkpoint


def make_runs(args: argparse.Namespace, folder: Path, data: Path, teacher: Path) -> Dict[str, Run]:
    epochs, backbone = LENGTHS[args.length].epochs, LENGTHS[args.length].backbone
    common = [f'randomness.seed={args.seed}', *data_options(data)]
    if backbone:
        of_backbone = dict(_delete_=True, type='Pretrained', checkpoint=backbone, prefix='backbone')
        common += [f'model.backbone.init_cfg.{key}={value}' for key, value in of_backbone.items()]
    options = [f'train_cfg.max_epochs={epochs}', f'param_scheduler.1.end={epochs}', *common]
    distilled = [*options, f'model.teacher_ckpt={teacher}']
    runs = {'student': Run(title('student'), CONFIGS / 'student.py', folder / 'student', epochs,
                           options)}
    for name in args.methods:
        # the config of a student that teaches itself has a schedule of this length
        runs[name] = Run(title(name), config_of(name, folder, epochs),
                         folder / name.replace('+', '-'), epochs,
                         common if teaches_itself(name) else distilled)
    return runs


def title(name: str) -> str:
    return TITLES.get(name) or ' + '.join(part.upper() for part in name.split('+'))


def config_of(method: str, folder: Path, epochs: int) -> Path:
    """The shipped config of a method, or the one that ``ctkd-det distill`` writes for it."""
    shipped = CONFIGS / f'{method}.py'
    if shipped.exists() and method in TITLES:
        return shipped
    student, teacher = (find_config(str(CONFIGS / f'{role}.py')) for role in ('student', 'teacher'))
    if teaches_itself(method):
        recipe = Recipe(student, None, '', method, changes=Changes(epochs=epochs))
    else:
        recipe = Recipe(student, teacher, str(CONFIGS / 'teacher.pth'), method)
    path = folder / 'configs' / f'{method.replace("+", "-")}.py'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(recipe.text(path.parent.absolute()), encoding='utf-8')
    return path


def report(runs: Dict[str, Run], teacher: Path, data: Path, folder: Path) -> None:
    """Print the table, and write it as Markdown."""
    options = data_options(data)
    metrics = {'teacher': evaluate(CONFIGS / 'teacher.py', teacher, folder / 'teacher', options)}
    for name, run in runs.items():
        # the plain config for all: a distilled student needs nothing of ours
        metrics[name] = evaluate(CONFIGS / 'student.py', run.checkpoint, run.work_dir / 'test',
                                 options)
    header = ['', *METRICS, 'gain', 'minutes', 'final tau']
    rows = []
    for name, values in metrics.items():
        run = runs.get(name)
        gain = percent(values, 'mAP') - percent(metrics['student'], 'mAP')
        tau = tau_of(name, run) if run else None
        rows.append([run.title if run else name, *(f'{percent(values, k):.1f}' for k in METRICS),
                     f'{gain:+.1f}', f'{run.seconds / 60:.1f}' if run else '',
                     f'{tau[1][-1]:.2f}' if tau else ''])
    table = Table(*header, title=f'COCO metrics in %, {folder.name}')
    for row in rows:
        table.add_row(*row)
    console.print(table)
    (folder / 'results.md').write_text('\n'.join(
        '| ' + ' | '.join(line) + ' |' for line in (header, ['---'] * len(header), *rows)) + '\n',
        encoding='utf-8')


def tau_of(method: str, run: Run) -> Optional[tuple]:
    """Steps and mean temperatures of the first loss of a method that has one."""
    return next(filter(None, (run.scalars.get(LoggedTau(part, 'mean').name)
                              for part in method.split('+'))), None)


def percent(metrics: dict, name: str) -> float:
    """A metric in %; a detector that finds nothing at all gets none from mmdet, that is 0."""
    return 100 * metrics.get(METRICS[name], 0.0)


def draw(runs: Dict[str, Run], teacher: Path, data: Path, folder: Path) -> Dict[str, Path]:
    """Draw the temperature, and the same images as each detector sees them."""
    detectors = {'teacher': (CONFIGS / 'teacher.py', teacher)}
    detectors.update({run.title: (CONFIGS / 'student.py', run.checkpoint)
                      for run in runs.values()})
    learned = [run.work_dir for name, run in runs.items()
               if 'ctkd' in name and tau_of(name, run)]
    pictures = {}
    if learned:
        pictures['Temperature and lambda'] = plot_temperatures(learned, folder / 'temperature.png')
    detectors = {title: tuple(map(str, files)) for title, files in detectors.items()}
    pictures['Detections'] = compare_detectors(detectors, COCO(data / 'val.json'), data / 'val',
                                               folder / 'detections.png')
    return pictures


def deploy(run: Run, data: Path, folder: Path) -> Dict[str, Path]:
    """Export a student as ONNX, and draw what ONNX Runtime finds on a picture."""
    if not all(map(find_spec, ('onnx', 'onnxruntime'))):
        return {}
    console.rule(f'{run.title} as ONNX')
    exporting = subprocess.run([sys.executable, '-m', 'ctkd_det_cli', 'export', str(run.work_dir),
                                '--out', str(folder), '--format', 'onnx', '--data', str(data),
                                '--images', '50'])
    program = ROOT / 'demo' / 'infer_onnx.py'
    if exporting.returncode or not program.exists():
        return {}  # the command has said why; an installed package has no demo/
    picture = sorted((data / 'val').iterdir())[0]
    drawn = folder / 'onnx.png'
    file = folder / f'{run.config.stem}.onnx'
    drawing = subprocess.run([sys.executable, str(program), *map(str, (file, picture, drawn))])
    return {} if drawing.returncode else {'ONNX Runtime': drawn}


if __name__ == '__main__':
    main()
