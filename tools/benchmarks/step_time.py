"""What distillation costs: a training step with the teacher against one without.

Random images of COCO's usual size with random boxes, random weights in both
detectors (they decide nothing about time but how many proposals survive),
both kinds of step in turn in one process.
"""
import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Dict, List

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import nn

from ctkd_det.configs import read_config
from ctkd_det.models.heads import num_classes


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('config', help='config of a distilled detector')
    parser.add_argument('--batch', type=int, default=1, help='images in a step')
    parser.add_argument('--size', type=int, nargs=2, default=(800, 1216), metavar=('H', 'W'))
    parser.add_argument('--steps', type=int, default=5, help='of each kind')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    return parser.parse_args()


def build(cfg: Config, folder: Path) -> nn.Module:
    """The detector with a teacher that has just been made."""
    teacher = read_config(cfg.model.teacher_config)
    teacher.model.backbone.init_cfg = cfg.model.backbone.init_cfg = None
    model = MODELS.build(teacher.model)
    torch.save(dict(meta={}, state_dict=model.state_dict()), folder / 'teacher.pth')
    cfg.model.update(teacher_config=teacher.to_dict(), teacher_ckpt=str(folder / 'teacher.pth'))
    return MODELS.build(cfg.model).train()


def batch(args: argparse.Namespace, classes: int) -> dict:
    height, width = args.size
    samples = []
    for _ in range(args.batch):
        corner = torch.rand(8, 2) * torch.tensor([width, height]) * 0.7
        boxes = torch.cat([corner, corner + 40 + 150 * torch.rand(8, 2)], 1)
        sample = DetDataSample(metainfo=dict(img_shape=(height, width), scale_factor=(1, 1),
                                             ori_shape=(height, width), pad_shape=(height, width)))
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.randint(classes, (8, )))
        samples.append(sample)
    images = [torch.randint(256, (3, height, width), dtype=torch.uint8) for _ in samples]
    return dict(inputs=images, data_samples=samples)


def step(model: nn.Module, data: dict) -> None:
    """Forward and backward pass."""
    data = model.data_preprocessor(data, training=True)
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    if loss.is_cuda:
        torch.cuda.synchronize()


def main() -> None:
    args = parse_args()
    torch.manual_seed(0)
    init_default_scope('mmdet')
    cfg = Config.fromfile(args.config)
    with tempfile.TemporaryDirectory() as folder:
        model = build(cfg, Path(folder)).to(args.device)
    weights = {name: loss.loss_weight for name, loss in model.distill_losses.items()}
    data = batch(args, num_classes(model))
    seconds: Dict[str, List[float]] = dict(plain=[], distilled=[])
    for number in range(args.steps + 1):  # the first of each is a warm-up
        for kind, times in seconds.items():
            for name, loss in model.distill_losses.items():
                loss.loss_weight = weights[name] if kind == 'distilled' else 0.0
            start = time.perf_counter()
            step(model, data)
            if number:
                times.append(time.perf_counter() - start)
    plain, distilled = (statistics.median(times) for times in seconds.values())
    print(f'{args.config}, {args.batch} x {args.size[0]} x {args.size[1]} on {args.device}, '
          f'{torch.get_num_threads()} threads: plain {plain:.2f} s, distilled {distilled:.2f} s, '
          f'ratio {distilled / plain:.2f}')


if __name__ == '__main__':
    main()
