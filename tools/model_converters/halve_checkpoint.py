"""Keep a checkpoint's weights and classes only, matrices in half precision.

For a teacher that is shipped or sent; it loads into a float32 model as it is.
"""
import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

from ctkd_det.compat.reading import CheckpointError, read_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', help='checkpoint of a training')
    parser.add_argument('target', help='file to write')
    args = parser.parse_args()
    try:
        checkpoint = read_checkpoint(args.source)
    except (FileNotFoundError, CheckpointError) as error:
        sys.exit(f'halve_checkpoint.py: {error}')
    # vectors, the statistics of batch normalisation among them, stay as they are
    weights = {key: halved(value) if value.is_floating_point() and value.dim() > 1 else value
               for key, value in checkpoint.get('state_dict', checkpoint).items()}
    meta = checkpoint.get('meta') or {}
    meta = dict(dataset_meta=meta['dataset_meta']) if 'dataset_meta' in meta else {}
    Path(args.target).parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=weights, meta=meta), args.target)


def halved(value: Tensor) -> Tensor:
    """In half precision, which ends at 65504, if all values are within it."""
    half = value.half()
    return half if half.isfinite().all() else value


if __name__ == '__main__':
    main()
