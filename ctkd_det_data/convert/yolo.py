"""Reader for YOLO: a text file for each image, with boxes as fractions of its size."""
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from ..findings import DataError
from ..reading import read_text
from .files import by_name, walk
from .lists import yolo_lists
from .names import read_sheets
from .parts import Content
from .records import Object, Record, box_around, real_size


def read_yolo(root: Path) -> Content:
    """Read images and their labels in one of the usual layouts.

    ``images/train/a.jpg`` with ``labels/train/a.txt``, ``train/images/a.jpg``
    with ``train/labels/a.txt``, or the text beside its image. Images without
    a text file have no objects.

    Raises:
        DataError: if a line is not in the format, or the names of the
            classes are not clear.
    """
    files = walk(root)
    named = by_name(files)
    images = sorted(image for group in named.values() for image in group)
    sheets = read_sheets(root, files)
    names = sheets[0].names
    records, without = [], 0
    for image in images:
        label = _label(root, image)
        without += label is None
        size = real_size(image)
        records.append(Record(image, size, _objects(label, size, names) if label else []))
    if without == len(images):
        raise DataError(f'{root}: no image has a text file of labels', 'labels/NAME.txt or '
                        'NAME.txt beside each image')
    notes = [f'{without} of {len(images)} images have no text file: nothing is in them'] \
        if without else []
    lists, more = yolo_lists(root, sheets, files, named)
    return Content(records, list(names.values()), notes + more, lists)


def _label(root: Path, image: Path) -> Optional[Path]:
    parts = list(image.relative_to(root).with_suffix('.txt').parts)
    candidates = [image.with_suffix('.txt')]
    candidates += [root.joinpath(*parts[:i], 'labels', *parts[i + 1:])
                   for i, word in enumerate(parts) if word == 'images']
    return next((file for file in candidates if file.is_file()), None)


def _objects(file: Path, size: Tuple[int, int], names: Dict[int, str]) -> List[Object]:
    found = []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if not line.strip():
            continue
        try:
            index, *values = map(float, line.split())
            name = names[index]  # 1.0 is 1; 1.5 and NaN are no label
        except (ValueError, KeyError):
            raise DataError(f'{file}, line {number}: {line[:60]!r} is not the number of one of '
                            f'{len(names)} classes with numbers', 'correct it, or the names in '
                            'data.yaml') from None
        if not all(-0.01 <= v <= 1.01 for v in values) or (
                len(values) != 4 and (len(values) < 6 or len(values) % 2)):
            raise DataError(f'{file}, line {number}: {line[:60]!r} is neither CLASS X Y WIDTH '
                            'HEIGHT nor CLASS X Y X Y ..., in parts of the image (0 to 1)',
                            'correct it')
        width, height = size
        if len(values) == 4:
            x, y, w, h = values
            box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
            found.append(Object(name, box))
        else:
            polygon = [v * size[i % 2] for i, v in enumerate(values)]
            points = list(zip(polygon[::2], polygon[1::2], strict=True))
            found.append(Object(name, box_around(points), [[round(v, 3) for v in polygon]]))
    return found
