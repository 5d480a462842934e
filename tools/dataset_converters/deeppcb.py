"""DeepPCB (printed circuit boards, MIT): its repository as cloned becomes COCO's format.

git clone https://github.com/tangsanli5201/DeepPCB
python tools/dataset_converters/deeppcb.py DeepPCB data/deeppcb --longest-side 320
"""
import argparse
import sys
from pathlib import Path
from typing import Iterator

from ctkd_det_data import DataError
from ctkd_det_data.convert.records import Object, Record, real_size, write

# numbers 1 to 6 in the annotations
CLASSES = ('open', 'short', 'mousebite', 'spur', 'copper', 'pin-hole')
PARTS = dict(train='trainval.txt', val='test.txt')


def records(root: Path, part: str) -> Iterator[Record]:
    """The images of a part, as upstream splits them.

    Raises:
        DataError: if a file is missing or says something else.
    """
    index = root / PARTS[part]
    if not index.is_file():
        raise DataError(f'there is no {index}', 'give the folder of the cloned repository')
    for line in index.read_text(encoding='utf-8').splitlines():
        if not line.strip():
            continue
        image, boxes = line.split()
        # the list names 20085000.jpg, the files are 20085000_test.jpg and its template
        file = root / image.replace('.jpg', '_test.jpg')
        lines = (root / boxes).read_text(encoding='utf-8').splitlines()
        yield Record(file, real_size(file).seen,
                     [_object(root / boxes, text) for text in lines if text], part)


def _object(file: Path, line: str) -> Object:
    try:
        left, top, right, bottom, number = map(int, line.replace(',', ' ').split())
        return Object(CLASSES[range(1, 7).index(number)], [left, top, right - left, bottom - top])
    except ValueError as error:
        raise DataError(f'{file}: {line!r} is not x1 y1 x2 y2 and a number from 1 to 6') from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('source', type=Path, help='the cloned repository')
    parser.add_argument('out', type=Path, help='folder to write to')
    parser.add_argument('--longest-side', type=int, help='shrink images to this many pixels')
    args = parser.parse_args()
    root = args.source / 'PCBData'
    try:
        print(write([r for part in PARTS for r in records(root, part)], root, args.out, CLASSES,
                    0.0, args.longest_side))
    except DataError as error:
        sys.exit(str(error))


if __name__ == '__main__':
    main()
