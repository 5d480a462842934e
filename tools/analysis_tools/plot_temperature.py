"""Plot temperature, lambda and theta's gradient of one or more runs."""
import argparse

from ctkd_det.visualization.temperature import plot_temperatures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dirs', nargs='+', help='work directories of distilled runs')
    parser.add_argument('--out', default='temperature.png', help='picture to write')
    args = parser.parse_args()
    try:
        print(plot_temperatures(args.work_dirs, args.out))
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))


if __name__ == '__main__':
    main()
