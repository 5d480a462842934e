"""In which direction the adversary pulls tau, on a real student's RoIs.

For each checkpoint of the student, its and the teacher's logits on the RoIs
of some training batches; then KL(tau), tau KL(tau) and tau^2 KL(tau) on a
grid of temperatures, averaged over foreground and over background RoIs. The
adversary climbs these curves: where one rises, it raises tau. Besides, how large
a gradient tau^2 KL gives the student. With --boxes the same of the box
distributions of a GFL, at the locations with objects and in the valuable
region around them, see LDLoss.
"""
import argparse
import json
from itertools import islice
from pathlib import Path
from typing import Dict, List

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.runner import Runner, load_checkpoint
from torch import Tensor, nn

import ctkd_det  # noqa: F401
from ctkd_det.models.taps import RoITap

POWERS = (0, 1, 2)
GRID = np.geomspace(0.25, 32, 57)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of a distilled detector')
    parser.add_argument('checkpoints', nargs='+', type=Path, help='students, in order')
    parser.add_argument('--batches', type=int, default=12, help='training batches to look at')
    parser.add_argument('--boxes', action='store_true', help='look at box distributions')
    parser.add_argument('--out', type=Path, required=True, help='.jsonl to write; .png beside it')
    return parser.parse_args()


def collect(runner: Runner, checkpoint: Path, batches: int, boxes: bool) -> Dict[str, Tensor]:
    """Rows of both detectors, (N, C+1), and which are the foreground's, (N,)."""
    torch.manual_seed(0)
    np.random.seed(0)
    load_checkpoint(runner.model, str(checkpoint))
    model, found = runner.model.train(), []
    loader = runner.build_dataloader(runner.cfg.train_dataloader, seed=0)
    for data in islice(loader, batches):
        data = model.data_preprocessor(data, training=True)
        look = _box_rows if boxes else _roi_rows
        found += look(model, data['inputs'], data['data_samples'])
    student, teacher, foreground = map(torch.cat, zip(*found, strict=True))
    return dict(student=student, teacher=teacher, foreground=foreground)


@torch.no_grad()
def _roi_rows(model: nn.Module, images: Tensor, samples: list) -> List[tuple]:
    with RoITap(model.roi_head) as (record, ):
        model.loss(images, samples)
    teacher, = model.teacher.roi_logits(images, samples, [record.rois])
    return [(record.cls_score, teacher, record.labels < record.cls_score.size(1) - 1)]


@torch.no_grad()
def _box_rows(model: nn.Module, images: Tensor, samples: list) -> List[tuple]:
    with model.tap() as records:
        model.loss(images, samples)
    model.teacher_logits(images, samples, records)
    sides = [model.box_sides(samples, records, source)[0] for source in ('distributions', 'vlr')]
    return [(side['student'], side['teacher'], torch.full_like(side['labels'], i == 0).bool())
            for i, side in enumerate(sides)]


def curves(logits: Dict[str, Tensor], chosen: Tensor) -> List[List[float]]:
    """tau^p KL(tau) for each power p, averaged over the chosen RoIs, float64."""
    s, t = logits['student'][chosen].double(), logits['teacher'][chosen].double()
    kl = [F.kl_div(F.log_softmax(s / tau, 1), F.log_softmax(t / tau, 1), reduction='batchmean',
                   log_target=True).item() for tau in GRID]
    return [(GRID**power * kl).tolist() for power in POWERS]


def student_gradient(logits: Dict[str, Tensor], chosen: Tensor) -> List[float]:
    """Norm of the gradient of tau^2 KL with respect to a RoI's logits, mean over RoIs.

    That gradient is tau (p_s - p_t), p the softmax at tau.
    """
    s, t = logits['student'][chosen].double(), logits['teacher'][chosen].double()
    return [(tau * ((s / tau).softmax(1) - (t / tau).softmax(1))).norm(dim=1).mean().item()
            for tau in GRID]


def plot(lines: List[dict], out: Path) -> None:
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(2, len(POWERS) + 1, figsize=(15, 6.5), sharex=True,
                                layout='constrained')
    rows = list(dict.fromkeys(line['rois'] for line in lines))
    students = list(dict.fromkeys(line['checkpoint'] for line in lines))
    colours = plt.get_cmap('viridis')(np.linspace(0, .85, len(students)))
    for line in lines:
        row = axes[rows.index(line['rois'])]
        colour = colours[students.index(line['checkpoint'])]
        row[-1].plot(line['tau'], line['student_gradient'], color=colour)
        row[-1].set(title=f"student's gradient, {line['rois']}", ylim=(0, None))
        for axis, power, values in zip(row[:-1], POWERS, line['curves'], strict=True):
            axis.plot(line['tau'], values, color=colour, label=line['checkpoint'])
            top = int(np.argmax(values))
            axis.plot(line['tau'][top], values[top], 'o', color=colour)
            name = ('KL', 'τ KL', 'τ² KL')[POWERS.index(power)]
            axis.set(title=f'{name}, {line["rois"]}', xscale='log', ylim=(0, None))
    for axis in axes[-1]:
        axis.set_xlabel('temperature τ')
        axis.set_xticks([.25, .5, 1, 2, 4, 8, 16, 32], [.25, .5, 1, 2, 4, 8, 16, 32])
        axis.minorticks_off()
    axes[0, 0].legend(frameon=False, fontsize='small')
    figure.savefig(out, dpi=110)


def main() -> None:
    args = parse_args()
    cfg = Config.fromfile(args.config)
    cfg.work_dir = str(args.out.with_suffix(''))
    runner = Runner.from_cfg(cfg)
    lines = []
    # runs of a bench all end in an epoch_N.pth
    same = len({path.stem for path in args.checkpoints}) < len(args.checkpoints)
    for checkpoint in args.checkpoints:
        name = '/'.join(checkpoint.parts[-3:-1]) if same else checkpoint.stem
        logits = collect(runner, checkpoint, args.batches, args.boxes)
        names = ('objects', 'around objects') if args.boxes else ('foreground', 'background')
        for rois, chosen in zip(names, (logits['foreground'], ~logits['foreground']), strict=True):
            lines.append(dict(
                checkpoint=name, rois=rois, number=int(chosen.sum()),
                student_std=logits['student'][chosen].std(1).mean().item(),
                teacher_std=logits['teacher'][chosen].std(1).mean().item(),
                tau=GRID.tolist(), curves=curves(logits, chosen),
                student_gradient=student_gradient(logits, chosen)))
            best = {f'p={p}': round(float(GRID[np.argmax(c)]), 2)
                    for p, c in zip(POWERS, lines[-1]['curves'], strict=True)}
            at = dict(zip(GRID.round(2), lines[-1]['student_gradient'], strict=True))
            print(name, rois, 'the adversary goes to tau', best,
                  f"student's gradient at 4 / at 1: {at[4] / at[1]:.1f}", flush=True)
    args.out.write_text(''.join(json.dumps(line) + '\n' for line in lines), encoding='utf-8')
    plot(lines, args.out.with_suffix('.png'))


if __name__ == '__main__':
    main()
