"""Make a Faster R-CNN over-confident: its class logits are multiplied by a factor.

The class that it ranks first for a RoI stays first; boxes stay as they are. Only its certainty
changes: at temperature ``factor`` the new teacher says what the old one says at temperature 1.

    python tools/benchmarks/sharpen_teacher.py configs/shapes/teacher.pth \
        data/shapes_bench/teacher_sharp.pth --factor 3
"""
import argparse
from pathlib import Path
from typing import Dict

import torch
from torch import Tensor

from ctkd_det.compat.reading import read_checkpoint

CLASSIFIER = 'roi_head.bbox_head.fc_cls'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='checkpoint of a Faster R-CNN')
    parser.add_argument('target', type=Path, help='file to write')
    parser.add_argument('--factor', type=float, default=3.0, help='default: 3')
    return parser.parse_args()


def sharpen(weights: Dict[str, Tensor], factor: float) -> Dict[str, Tensor]:
    """The weights with another classifier, in single precision.

    Args:
        weights (dict): A Faster R-CNN's state_dict.
        factor (float): Of the class logits.

    Raises:
        KeyError: If there is no linear classifier of a two-stage head.
    """
    changed = {name: factor * weights[name].float()
               for name in (f'{CLASSIFIER}.weight', f'{CLASSIFIER}.bias')}
    return {**weights, **changed}


def main() -> None:
    args = parse_args()
    checkpoint = read_checkpoint(args.source)
    checkpoint['state_dict'] = sharpen(checkpoint['state_dict'], args.factor)
    args.target.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, args.target)
    print(f'{args.target}: the class logits of {args.source}, times {args.factor:g}')


if __name__ == '__main__':
    main()
