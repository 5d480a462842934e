"""How the cost of a step grows: images, RoIs, classes, levels, widths, processes."""
import argparse
import copy
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import torch
import torch.distributed as dist
from clock import Clock, medians
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.table import Table
from steps import StepBench
from torch.nn.parallel import DistributedDataParallel

from ctkd_det.configs import read_config

AXES: Dict[str, Tuple[int, ...]] = {
    'images': (1, 2, 4, 8, 16), 'RoIs': (128, 256, 512, 1024, 2048), 'classes': (80, 320, 1203),
    'levels': (3, 4, 5), 'width': (64, 128, 256), 'processes': (1, 2)}


def grow(cfg: Config, args: argparse.Namespace, clock: Clock) -> Dict[str, List[dict]]:
    """Seconds of a step of student and distilled student along each axis.

    Both detectors change alike. Where the classes, levels or widths change, or
    the file does not exist, the teacher has random weights.

    Args:
        cfg (Config): Of a distilled Faster R-CNN.
        args (Namespace): Of step_time.py; ``grow`` names the axes, or is
            ``['all']``.
        clock (Clock): Measures all but processes, whose waiting counts.

    Returns:
        dict: By axis its points, with ``value``, ``student`` and ``distilled``
        in seconds, and ``rois``, how many there were.
    """
    found: Dict[str, List[dict]] = {}
    for axis in AXES if args.grow == ['all'] else args.grow:
        for value in AXES[axis]:
            changed, images = point(cfg, axis, value, args.batch)
            if axis == 'processes':
                times = _in_processes(changed, images, args.size, value, args.rounds or 3)
            else:
                bench = StepBench(changed, images, args.size, args.device)
                kinds = dict(student=bench.student(), distilled=bench.distilled(bench.model))
                for step in kinds.values():
                    step()
                times = medians(clock.turns(kinds, args.rounds, budget=5))
                times['rois'] = sum(len(record.rois) for record in bench.records)
            found.setdefault(axis, []).append(dict(times, value=value))
    return found


def point(cfg: Config, axis: str, value: int, images: int) -> Tuple[Config, int]:
    """The config, and the images of its batch, at one point of an axis."""
    cfg = copy.deepcopy(cfg)
    if axis == 'images':
        return cfg, value
    if axis == 'RoIs':
        of_an_image = max(1, value // images)
        cfg.model.train_cfg.rcnn.sampler.num = of_an_image
        # more than are sampled, since not all of them are background
        cfg.model.train_cfg.rpn_proposal.update(nms_pre=8 * of_an_image,
                                                max_per_img=4 * of_an_image)
    if axis in _SETTERS:
        teacher = read_config(cfg.model.teacher_config)
        for model in (cfg.model, teacher.model):
            _SETTERS[axis](model, value)
        cfg.model.update(teacher_config=teacher.to_dict(), teacher_ckpt='random')
    return cfg, images


def _classes(model: dict, value: int) -> None:
    model.roi_head.bbox_head.num_classes = value


def _levels(model: dict, value: int) -> None:
    model.neck.num_outs = value
    first = model.rpn_head.anchor_generator.strides[0]
    model.rpn_head.anchor_generator.strides = [first * 2 ** i for i in range(value)]


def _width(model: dict, value: int) -> None:
    model.neck.out_channels = model.rpn_head.in_channels = model.rpn_head.feat_channels = value
    model.roi_head.bbox_roi_extractor.out_channels = model.roi_head.bbox_head.in_channels = value


_SETTERS: Dict[str, Callable[[dict, int], None]] = dict(
    classes=_classes, levels=_levels, width=_width)


def growth_table(found: Dict[str, List[dict]]) -> Table:
    """A row for each point."""
    columns = Table('', 'student, ms', 'distilled, ms', 'ratio', 'RoIs')
    for axis, points in found.items():
        for at in points:
            columns.add_row(f'{at["value"]} {axis}', f'{1e3 * at["student"]:.1f}',
                            f'{1e3 * at["distilled"]:.1f}',
                            f'{at["distilled"] / at["student"]:.2f}', str(at.get('rois', '')),
                            end_section=at is points[-1])
    return columns


def growth_plot(found: Dict[str, List[dict]], path: Path) -> None:
    """A picture with a part for each axis."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    figure, parts = pyplot.subplots(1, len(found), figsize=(3 * len(found), 3), squeeze=False)
    for part, (axis, points) in zip(parts[0], found.items(), strict=True):
        values = [at['value'] for at in points]
        for kind in ('student', 'distilled'):
            part.plot(values, [1e3 * at[kind] for at in points], marker='o', label=kind)
        part.set_xscale('log', base=2)
        part.set_xticks(values, values)
        part.minorticks_off()
        part.set(xlabel=axis, ylabel='ms', ylim=(0, None))
    parts[0][0].legend()
    figure.tight_layout()
    figure.savefig(path)


def _in_processes(cfg: Config, images: int, size: Tuple[int, int], number: int,
                  rounds: int) -> Dict[str, float]:
    """Seconds of a step under DDP, with gloo; each process has a batch of its own."""
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(
            _process, (number, cfg, images, size, rounds, folder), number)
        return json.loads(Path(folder, 'times.json').read_text(encoding='utf-8'))


def _process(rank: int, number: int, cfg: Config, images: int, size: Tuple[int, int],
             rounds: int, folder: str) -> None:
    torch.set_num_threads(1)
    init_default_scope('mmdet')
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank,
                            world_size=number)
    bench = StepBench(cfg, images, size)
    weights = {name: loss.loss_weight for name, loss in bench.model.distill_losses.items()}
    step = bench.distilled(_Parallel(bench.model))
    times: Dict[str, List[float]] = dict(student=[], distilled=[])
    for _ in range(rounds + 1):  # the first is a warm-up
        for kind, seconds in times.items():
            for name, loss in bench.model.distill_losses.items():
                loss.loss_weight = weights[name] if kind == 'distilled' else 0.0
            dist.barrier()
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
    if rank == 0:
        result = {kind: statistics.median(seconds[1:]) for kind, seconds in times.items()}
        Path(folder, 'times.json').write_text(json.dumps(result), encoding='utf-8')
    dist.destroy_process_group()


class _Parallel(DistributedDataParallel):
    """DDP with the two methods of a detector that a step calls."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__(model)
        self.data_preprocessor, self.parse_losses = model.data_preprocessor, model.parse_losses
