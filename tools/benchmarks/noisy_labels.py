"""Give a share of the objects of a COCO file another class: labels as careless annotators set them.

Boxes and images stay as they are. Each object is drawn by itself, and its new class is any other
one, with equal chances. The same arguments give the same file on any machine.

    python tools/benchmarks/noisy_labels.py data/shapes_bench/train.json \
        data/shapes_bench/train_noisy.json --share 0.2
"""
import argparse
import json
from pathlib import Path

import numpy as np


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('ann_file', type=Path, help='what is read')
    parser.add_argument('out', type=Path, help='what is written')
    parser.add_argument('--share', type=float, default=0.2,
                        help='of objects whose class changes (default: 0.2)')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def flip(data: dict, share: float, seed: int) -> int:
    """Change the classes in place.

    Args:
        data (dict): COCO's instances.
        share (float): The probability of each object, 0 to 1.
        seed (int): Of the draws.

    Returns:
        int: How many objects have another class now.
    """
    rng = np.random.default_rng(seed)
    ids = [category['id'] for category in data['categories']]
    flipped = 0
    for annotation in data['annotations']:
        # both are drawn for each object, so that a larger share contains the smaller one
        chance, other = rng.random(), rng.integers(1, len(ids))
        if chance < share:
            place = ids.index(annotation['category_id'])
            annotation['category_id'] = ids[(place + other) % len(ids)]
            flipped += 1
    return flipped


def main() -> None:
    args = parse_args()
    data = json.loads(args.ann_file.read_text(encoding='utf-8'))
    flipped = flip(data, args.share, args.seed)
    args.out.write_text(json.dumps(data), encoding='utf-8')
    print(f'{args.out}: {flipped} of {len(data["annotations"])} objects have another class')


if __name__ == '__main__':
    main()
