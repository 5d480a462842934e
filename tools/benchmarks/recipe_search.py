"""Train each method from the same students, several seeds, and keep the results.

A seed has one trunk, a student that has been trained alone for 12 epochs at a
constant learning rate, and every method goes on from it for 3 epochs with the same
images in the same order, so methods can be compared in pairs. The other benches:

- shapes_order: all seeds share one trunk and differ in the order of the images alone;
- shapes_long: the same with longer branches, those of shapes_warm;
- shapes_warm: from the backbone of one trunk, as detectors on COCO take theirs from
  ImageNet, all else new;
- shapes_scratch: no trunks, from scratch;
- shapes_noisy: as shapes_warm, with wrong labels, also its own teacher's;
- shapes_sharp: as shapes_warm, with an over-confident teacher;
- shapes_b and shapes_b_warm: a teacher, data and students of their own, on which no
  setting was chosen;
- shapes_gfl: single-stage, with box distributions; as shapes_warm, with a teacher of its own;
- shapes_gfl_wide: the same with heads of one width, so that they can be crossed (crosskd);
- deeppcb, neu_det and coco_real: real images, as shapes_warm, with a teacher that starts from
  ImageNet; deeppcb_scratch: no trunk, from scratch. Their data in data/NAME, and the backbone
  in data/mobilenet_v2_imagenet_mmdet.pth, are yours to put there (docs/dataset.md).

Interrupt it and start it again as you like: finished runs are not repeated,
others go on. A trunk that another machine trains has other weights, and so have
the runs from it: they are not added to a file whose runs of the same seed began
from other weights.

    python tools/dataset_converters/make_shapes_coco.py data/shapes_bench --val 2000
    python tools/benchmarks/recipe_search.py --seeds 0 1 2
    python tools/benchmarks/recipe_search.py --bench shapes_warm --seeds 0 1
    python tools/benchmarks/recipe_search.py --bench shapes_scratch --seeds 0 1

    python tools/benchmarks/noisy_labels.py data/shapes_bench/train.json \
        data/shapes_bench/train_noisy.json --share 0.2
    python tools/benchmarks/recipe_search.py --bench shapes_noisy --seeds 0 1 2 \
        --methods student kd_tau1 kd_tau2 kd_tau4 ctkd

    python tools/benchmarks/sharpen_teacher.py configs/shapes/teacher.pth \
        data/shapes_bench/teacher_sharp.pth --factor 3
    python tools/benchmarks/recipe_search.py --bench shapes_sharp --seeds 0 1 2 \
        --methods student kd_tau1 kd_tau2 kd_tau4 ctkd

    python tools/benchmarks/recipe_search.py --bench shapes_gfl --seeds 0 1 2 \
        --methods student kd_tau1 ctkd ld_tau10 ld_tau1 ld_tau3 ctkd_ld

    python tools/dataset_converters/make_shapes_coco.py data/shapes_bench_b \
        --val 2000 --size 80 --classes 5 --seed 1
    python tools/benchmarks/recipe_search.py --bench shapes_b --seeds 0 1 2

    python tools/benchmarks/recipe_table.py docs/evidence/shapes.jsonl
"""
import argparse
import hashlib
import json
import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from benches import BENCHES, PAIRS, SHAPES, student_config, teacher_config, trunk_config
from mmdet.registry import MODELS
from mmengine.config import Config
from recipes import GRID, JOINED, METHODS, additions

import ctkd_det  # noqa: F401
from ctkd_det.compat.reading import read_checkpoint
from ctkd_det.log_names import parse_taus
from ctkd_det.models.detectors import distilled_class
from ctkd_det.runs import Run, RunFailed
from ctkd_det_cli.distill.cycles import with_cycles
from ctkd_det_cli.training.data import missing_data

TREE = Path(__file__).resolve().parents[2]
# for what is written; an installed package is no place to write to
ROOT = TREE if (TREE / 'ctkd_det').is_dir() else Path.cwd()
_writing = threading.Lock()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--bench', choices=BENCHES, default='shapes')
    parser.add_argument('--methods', nargs='+', metavar='METHOD',
                        choices=['student', *METHODS, *JOINED], default=['student', *GRID],
                        help=f'of: student {" ".join([*METHODS, *JOINED])}; '
                             f'default: student {" ".join(GRID)}')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--jobs', type=int, default=2, help='trainings side by side')
    parser.add_argument('--work-dir', type=Path, default=ROOT / 'work_dirs' / 'bench')
    parser.add_argument('--out', type=Path, help='default: docs/evidence/BENCH.jsonl, '
                        'in a checkout or the current folder')
    return parser.parse_args()


def read(out: Path) -> List[dict]:
    if not out.exists():
        return []
    return [json.loads(line) for line in out.read_text(encoding='utf-8').splitlines()]


def write(out: Path, result: dict) -> None:
    """Add a line, unless another process that waited for the same run has written it."""
    run = result['method'], result['seed']
    if run in {(line['method'], line['seed']) for line in read(out)}:
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with _writing, open(out, 'a', encoding='utf-8') as file:
        file.write(json.dumps(result) + '\n')


def finish(run: Run) -> Run:
    """Train ``run`` to its end, from wherever it is."""
    if not run.finished:
        before, started = run.seconds, time.time()
        run.start(threads=1)
        try:
            if run.process.wait():
                raise RunFailed(f'{run.title} failed, see {run.work_dir / "log.txt"}')
        finally:
            run.process.kill()
            run.seconds = before + time.time() - started
    return run


def run_of(title: str, cfg: Config, folder: Path, name: str) -> Run:
    """A training whose config is written beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / f'{name}.py'
    cfg.dump(config)
    return Run(title, config, folder, cfg.max_epochs)


def teacher(bench: str, work_dir: Path) -> List[Run]:
    """The pair's own teacher, if it does not use the shipped one."""
    pair = BENCHES[bench].pair
    cfg = teacher_config(pair)
    return [run_of(f'{pair} teacher', cfg, work_dir / pair / 'teacher', 'teacher')] if cfg else []


def trunk(bench: str, seed: int, work_dir: Path) -> List[Run]:
    """What the runs of a seed start from, unless they start from scratch."""
    pair, start = BENCHES[bench].pair, BENCHES[bench].start
    if start == 'scratch':
        return []
    if start.startswith('shared'):
        seed = 0
    cfg = trunk_config(pair)
    cfg.randomness = dict(seed=seed)
    return [run_of(f'{pair} trunk, seed {seed}', cfg, work_dir / pair / 'trunk' / f'seed_{seed}',
                   'trunk')]


def weights_of(runs: List[Run]) -> Optional[str]:
    """Eight hexadecimal digits that name the weights of these runs; None if there are no runs."""
    digest = hashlib.sha256()
    for run in runs:
        for name, value in sorted(read_checkpoint(run.checkpoint)['state_dict'].items()):
            digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()[:8] if runs else None


def check_start(out: Path, starts: Dict[int, Optional[str]]) -> None:
    """Refuse to add runs whose seed began from other weights in the file."""
    for line in read(out):
        seed = line['seed']
        if seed in starts and line.get('start') != starts[seed]:
            raise SystemExit(
                f'{out}: its runs of seed {seed} began from other weights '
                f'({line.get("start", "not known")}) than those trained here ({starts[seed]}), '
                'so they cannot be compared with new ones. Give another --out, and train what you '
                'compare with there, too.')


def branch(bench: str, method: str, seed: int, work_dir: Path) -> Run:
    """The run of a method, its config written beside it."""
    cfg = student_config(bench)
    cfg.randomness = dict(seed=seed)
    for start in trunk(bench, seed, work_dir):
        # not load_from, which --resume sets aside
        init = dict(type='Pretrained', checkpoint=str(start.checkpoint))
        if BENCHES[bench].start == 'shared backbone':
            cfg.model.backbone.init_cfg = dict(**init, prefix='backbone')
        else:
            cfg.model.init_cfg = init
    if method != 'student':
        head = cfg.model.get('roi_head', cfg.model).bbox_head
        added = additions(method, head.num_classes, BENCHES[bench].pair,
                          head.get('loss_cls', {}).get('use_sigmoid', False))
        cfg.model.update(
            type=distilled_class(MODELS.get(cfg.model.type)).__name__,
            distill_losses=added['distill_losses'],
            teacher_config=str(SHAPES / 'teacher.py'),
            teacher_ckpt=PAIRS[BENCHES[bench].pair].teacher_ckpt)
        cfg.custom_hooks = added['custom_hooks']
        cfg.custom_imports = added['custom_imports']
        cfg.optim_wrapper.paramwise_cfg = added['paramwise_cfg']
        for own in teacher(bench, work_dir):
            cfg.model.update(teacher_config=str(own.config), teacher_ckpt=str(own.checkpoint),
                             teacher_compile=PAIRS[BENCHES[bench].pair].compiled)
        cfg.model.update(added['detector'])
        if added['teacher_config']:
            del cfg.model['teacher_ckpt']
            cfg.model.teacher_config = added['teacher_config']
        cfg.merge_from_dict(with_cycles(dict(custom_hooks=added['custom_hooks']), cfg))
    return run_of(f'{bench} {method}, seed {seed}', cfg, work_dir / bench / method / f'seed_{seed}',
                  method)


def summary(run: Run) -> Dict[str, object]:
    """What the results file says of a finished run, mAP from 0 to 1."""
    curves = run.scalars
    last = {name: values[-1] for name, (_, values) in curves.items()}
    aps = {name.replace('coco/bbox_', ''): round(value, 5)
           for name, value in last.items() if name.startswith('coco/bbox_')}
    taus = parse_taus(last)
    several = len({tau.loss for tau in taus.values()}) > 1
    temperatures = {name if several else tau.value: round(last[name], 4)
                    for name, tau in taus.items()}
    by_epoch = list(zip(*curves['coco/bbox_mAP'], strict=True))
    return dict(**aps, mAP_by_epoch=by_epoch, temperatures=temperatures,
                minutes=round(run.seconds / 60, 1))


def commit() -> str:
    """Of the code that runs; 'unknown' outside a checkout."""
    git = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], cwd=TREE, capture_output=True,
                         text=True)
    return git.stdout.strip() or 'unknown'


def main() -> None:
    args = parse_args()
    out = args.out or ROOT / 'docs' / 'evidence' / f'{args.bench}.jsonl'
    work_dir = args.work_dir.resolve()
    code = commit()
    # where the trainings find formulations.py
    os.environ['PYTHONPATH'] = os.pathsep.join(
        [str(Path(__file__).parent), *filter(None, [os.environ.get('PYTHONPATH')])])
    known = {(line['method'], line['seed']) for line in read(out)}
    todo = [(method, seed) for seed in args.seeds for method in args.methods
            if (method, seed) not in known]
    missing = missing_data(student_config(args.bench)) if todo else None
    if missing:
        raise SystemExit(f'{args.bench}: {missing}; --help says how its data are made')
    # mmengine reads configs in one thread only
    teachers = teacher(args.bench, work_dir) if todo else []
    trunks = {seed: trunk(args.bench, seed, work_dir) for _, seed in todo}
    trained = {run.work_dir: run for runs in (teachers, *trunks.values()) for run in runs}
    branches = [branch(args.bench, *job, work_dir) for job in todo]

    def work(job: Tuple[str, int], run: Run) -> None:
        method, seed = job
        result = dict(bench=args.bench, method=method, seed=seed, **summary(finish(run)),
                      start=starts[seed], commit=code)
        write(out, result)
        print(json.dumps(result), flush=True)

    with ThreadPoolExecutor(args.jobs) as pool:
        try:
            list(pool.map(finish, trained.values()))
            starts = {seed: weights_of([*teachers, *runs]) for seed, runs in trunks.items()}
            check_start(out, starts)
            list(pool.map(work, todo, branches))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


if __name__ == '__main__':
    try:
        main()
    except RunFailed as error:
        raise SystemExit(str(error)) from error
