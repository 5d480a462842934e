"""Generate a shapes data set in COCO's format: train and val images and JSON files."""
import argparse

from ctkd_det.datasets.shapes_generator import SHAPES, ShapesConfig, generate


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('out_dir', help='folder to write to')
    parser.add_argument('--train', type=int, default=4000, help='training images')
    parser.add_argument('--val', type=int, default=1000, help='validation images')
    parser.add_argument('--size', type=int, default=96, help='height and width in pixels')
    parser.add_argument('--classes', type=int, default=8,
                        help=f'number of classes, up to {len(SHAPES)}')
    parser.add_argument('--max-objects', type=int, default=5, help='most objects in an image')
    parser.add_argument('--clutter', type=float, default=6.0,
                        help='mean number of unlabelled strips and blobs in an image')
    parser.add_argument('--occlusion', type=float, default=0.4,
                        help='largest share of an object that may be hidden')
    parser.add_argument('--seed', type=int, default=0, help='seed of the whole set')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # the validation images come from another seed: no overlap whatever the numbers
    for name, num_images, seed in (('train', args.train, 2 * args.seed),
                                   ('val', args.val, 2 * args.seed + 1)):
        config = ShapesConfig(num_images, args.size, args.classes, args.max_objects,
                              args.clutter, args.occlusion, seed)
        print(generate(args.out_dir, name, config))


if __name__ == '__main__':
    main()
