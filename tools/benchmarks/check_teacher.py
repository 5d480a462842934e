"""Evaluate a distilled detector's teacher by itself, and fail if it is worse than it should be."""
import argparse
import sys
from pathlib import Path

from mmengine.config import Config

from ctkd_det.configs import read_config
from ctkd_det.runs import evaluate


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', type=Path, help='config of the distilled detector')
    parser.add_argument('--at-least', type=float, required=True, help='box mAP, 0 to 1')
    parser.add_argument('--work-dir', type=Path, required=True, help='keeps the result')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    model = Config.fromfile(args.config).model
    args.work_dir.mkdir(parents=True, exist_ok=True)
    config = args.work_dir / 'teacher.py'
    read_config(model.teacher_config).dump(config)
    mAP = evaluate(config, model.teacher_ckpt, args.work_dir)['coco/bbox_mAP']
    print(f'the teacher has {100 * mAP:.1f} mAP, {100 * args.at_least:.1f} are needed')
    sys.exit(mAP < args.at_least)


if __name__ == '__main__':
    main()
