"""Keep a checkpoint's weights and classes only, matrices in half precision.

For a teacher that is shipped or sent; it loads into a float32 model as it is.
"""
import argparse
import sys

import torch

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
    weights = {key: value.half() if value.is_floating_point() and value.dim() > 1 else value
               for key, value in checkpoint['state_dict'].items()}
    meta = dict(dataset_meta=checkpoint['meta']['dataset_meta'])
    torch.save(dict(state_dict=weights, meta=meta), args.target)


if __name__ == '__main__':
    main()
