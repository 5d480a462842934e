"""Write an interactive report on runs: results, curves, images, settings, in one HTML file."""
import argparse

from ctkd_det.visualization.report import write_report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dirs', nargs='+', help='work directories of the runs')
    parser.add_argument('--out', default='report.html', help='page to write')
    parser.add_argument('--baseline', help='work directory of the student alone; without it, the '
                        "plain detector with the distilled students' architecture")
    parser.add_argument('--teacher', help="the teacher's work directory or checkpoint; without "
                        'it, what the configs name')
    parser.add_argument('--images', type=int, default=8, help='images in the gallery')
    parser.add_argument('--val-images', type=int, default=500, help='validation images that each '
                        'detector is shown, at most; 0 runs none')
    parser.add_argument('--score-thr', type=float, default=0.3,
                        help='less confident detections are not in the gallery')
    parser.add_argument('--device', help='where detectors run; without it, a GPU if there is one')
    parser.add_argument('--title', default='Distillation report', help='of the page')
    args = parser.parse_args()
    try:
        print(write_report(**vars(args)))
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))


if __name__ == '__main__':
    main()
