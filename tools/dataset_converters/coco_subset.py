"""A small part of COCO 2017, by a list of image ids; no number from it stands beside COCO's.

python tools/dataset_converters/coco_subset.py data/coco data/coco_real --longest-side 320
"""
import argparse
import hashlib
import sys
from pathlib import Path
from typing import Iterator, Set

from ctkd_det_data import DataError, read
from ctkd_det_data.convert.records import Object, Record, write

IDS = Path(__file__).with_name('coco_real_ids.txt')


def part_of(image_id: int) -> str:
    """A fifth is for validation, whichever part of COCO it comes from."""
    digest = hashlib.md5(f'{image_id:012d}'.encode(), usedforsecurity=False).hexdigest()
    return 'val' if int(digest, 16) % 5 == 0 else 'train'


def records(root: Path, year_part: str, wanted: Set[int]) -> Iterator[Record]:
    """Images of ``train2017`` or ``val2017`` with their boxes, without crowds and masks."""
    content, _ = read(root / 'annotations' / f'instances_{year_part}.json')
    names = {entry['id']: entry['name'] for entry in content['categories']}
    found = {entry['id']: Record(root / year_part / entry['file_name'],
                                 (entry['width'], entry['height']), [], part_of(entry['id']))
             for entry in content['images'] if entry['id'] in wanted}
    for box in content['annotations']:
        if box['image_id'] in found and not box['iscrowd']:
            found[box['image_id']].objects.append(Object(names[box['category_id']], box['bbox']))
    yield from found.values()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('source', type=Path, help='COCO: annotations/, train2017/, val2017/')
    parser.add_argument('out', type=Path, help='folder to write to')
    parser.add_argument('--ids', type=Path, default=IDS, help='text file with image ids')
    parser.add_argument('--longest-side', type=int, help='shrink images to this many pixels')
    args = parser.parse_args()
    wanted = {int(word) for word in args.ids.read_text(encoding='utf-8').split()}
    try:
        found = [r for part in ('train2017', 'val2017') for r in records(args.source, part, wanted)]
        categories = read(args.source / 'annotations' / 'instances_val2017.json')[0]['categories']
        missing = wanted - {int(r.file.stem) for r in found}
        if missing:
            raise DataError(f'{len(missing)} of {len(wanted)} images are not in {args.source}; the '
                            f'first: {min(missing)}')
        print(write(found, args.source, args.out, [c['name'] for c in categories], 0.0,
                    args.longest_side))
    except DataError as error:
        sys.exit(str(error))


if __name__ == '__main__':
    main()
