"""Reader for a single file of COCO's format."""
import os
from pathlib import Path

from ..check import Part, check
from ..findings import FAIL, DataError
from ..layouts import annotation_file, image_folder
from ..reading import is_coco, read
from ..rows import class_names
from .files import walk
from .parts import Content
from .records import Object, Record


def read_coco(root: Path) -> Content:
    """Read the one file of COCO's format below a folder, and correct what can be corrected.

    Raises:
        DataError: if there are several such files, a mistake cannot be
            corrected, or an image is outside the folder.
    """
    files = [f for f in walk(root) if f.suffix.lower() == '.json' and is_coco(f)]
    if len(files) != 1:
        raise DataError(f"{root} has {len(files)} files of COCO's format: "
                        f'{", ".join(str(f.relative_to(root)) for f in files[:5])}', _mend(root))
    content, findings = read(files[0])
    folder = image_folder(root, 'train', files[0], [str(e['file_name']) for e in content['images']])
    part = Part(files[0], folder, content, evaluated=True, min_size=0)
    found = [*findings, *check(part)]
    wrong = [str(f) for f in found if f.level_when_cleaned == FAIL]
    if wrong:
        raise DataError('\n'.join(wrong))
    names = {entry['id']: entry['name'] for entry in content['categories']}
    records = {
        entry['id']: Record(_inside(root, files[0], folder / entry['file_name']),
                            (entry['width'], entry['height']), []) for entry in content['images']}
    for box in content['annotations']:
        if box['image_id'] in records and box['category_id'] in names:
            mask = box.get('segmentation')
            records[box['image_id']].objects.append(Object(
                names[box['category_id']], box['bbox'], mask if isinstance(mask, list) else [],
                bool(box['iscrowd']), box['area'], mask if isinstance(mask, dict) else None))
    used = {box['category_id'] for box in content['annotations']}
    return Content(list(records.values()), list(class_names(content['categories'], used)),
                   [str(f) for f in found])


def _mend(root: Path) -> str:
    try:
        for part in ('train', 'val'):
            annotation_file(root, part)
    except DataError:
        return 'give a folder with one, or call the files of two parts train.json and val.json'
    return 'it is split already, and nothing is to be converted: ctkd-det distill --data takes it'


def _inside(root: Path, ann_file: Path, image: Path) -> Path:
    """The image's path below ``root``, without ``..``.

    Raises:
        DataError: if it is outside.
    """
    plain = Path(os.path.normpath(image))
    if not plain.is_relative_to(root):
        plain = plain.resolve()  # an absolute name may go through a link
    if not plain.is_relative_to(root):
        raise DataError(f'{ann_file}: the image {plain} is outside {root}',
                        'put it there, and write file_name relative to that folder')
    return plain
