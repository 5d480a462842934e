"""The whole job on the embedded example: data, teacher, three students, table, pictures.

Three students with the same initial weights and the same order of images learn
side by side: alone, with KD, and with CTKD. Interrupt at will; the same command
goes on from the last finished epoch.
"""
import argparse
import sys
from pathlib import Path
from typing import Dict, List

from pycocotools.coco import COCO
from rich.table import Table

from ctkd_det.datasets.shapes_generator import ShapesConfig, generate
from ctkd_det.log_names import LoggedTau
from ctkd_det.runs import Run, RunFailed, console, evaluate, train
from ctkd_det.visualization.comparison import compare_detectors
from ctkd_det.visualization.temperature import plot_temperatures

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / 'configs' / 'shapes'
# in a checkout beside the tools; an installed package is no place to write to
HOME = ROOT if (ROOT / 'ctkd_det').is_dir() else Path.cwd()
METHODS = dict(student='student alone', kd='KD, tau = 1', ctkd='CTKD')
METRICS = dict(mAP='coco/bbox_mAP', AP50='coco/bbox_mAP_50', AP75='coco/bbox_mAP_75')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true',
                        help='2 epochs instead of 8: shows that it runs, not who wins')
    parser.add_argument('--train-teacher', action='store_true',
                        help='train the teacher anew instead of loading the one in the tree')
    parser.add_argument('--seed', type=int, default=0, help='of initial weights and image order')
    parser.add_argument('--images', type=int, default=4000,
                        help='training images; a quarter as many for validation')
    parser.add_argument('--out', type=Path, default=HOME / 'work_dirs' / 'demo',
                        help='folder of the runs and pictures')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    folder = args.out / '_'.join([
        'quick' if args.quick else 'full', str(args.images), f'seed{args.seed}',
        *(['own_teacher'] if args.train_teacher else [])])
    try:
        console.rule('Data')
        data = make_data(args.images)
        console.rule('Teacher')
        teacher = find_teacher(args, data)
        console.rule('Three students')
        runs = make_runs(args, folder, data, teacher)
        train(list(runs.values()))
        console.rule('Results')
        pictures = draw(runs, teacher, data, folder)
        report(runs, teacher, data, folder)
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
    epochs = 2 if args.quick else 8
    options = [f'train_cfg.max_epochs={epochs}', f'param_scheduler.1.end={epochs}',
               f'randomness.seed={args.seed}', *data_options(data)]
    distilled = [*options, f'model.teacher_ckpt={teacher}']
    return {name: Run(title, CONFIGS / f'{name}.py', folder / name, epochs,
                      options if name == 'student' else distilled)
            for name, title in METHODS.items()}


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
        tau = run.scalars.get(LoggedTau(name, 'mean').name) if run else None
        rows.append([METHODS.get(name, name), *(f'{percent(values, k):.1f}' for k in METRICS),
                     f'{gain:+.1f}', f'{run.seconds / 60:.1f}' if run else '',
                     f'{tau[1][-1]:.2f}' if tau else ''])
    table = Table(*header, title=f'COCO metrics in %, {folder.name}')
    for row in rows:
        table.add_row(*row)
    console.print(table)
    (folder / 'results.md').write_text('\n'.join(
        '| ' + ' | '.join(line) + ' |' for line in (header, ['---'] * len(header), *rows)) + '\n',
        encoding='utf-8')


def percent(metrics: dict, name: str) -> float:
    """A metric in %; a detector that finds nothing at all gets none from mmdet, that is 0."""
    return 100 * metrics.get(METRICS[name], 0.0)


def draw(runs: Dict[str, Run], teacher: Path, data: Path, folder: Path) -> Dict[str, Path]:
    """Draw the temperature, and the same images as each detector sees them."""
    detectors = {'teacher': (CONFIGS / 'teacher.py', teacher)}
    detectors.update({run.title: (CONFIGS / 'student.py', run.checkpoint)
                      for run in runs.values()})
    curve = plot_temperatures([runs['ctkd'].work_dir], folder / 'temperature.png')
    detectors = {title: tuple(map(str, files)) for title, files in detectors.items()}
    images = compare_detectors(detectors, COCO(data / 'val.json'), data / 'val',
                               folder / 'detections.png')
    return {'Temperature and lambda': curve, 'Detections': images}


if __name__ == '__main__':
    main()
