"""Reader for YOLO: a text file for each image, with boxes as fractions of its size."""
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from ..findings import DataError
from ..reading import read_text
from .files import by_name, walk
from .label_files import alone, label_files
from .lists import yolo_lists
from .names import Sheet, read_sheets
from .parts import Content
from .records import Object, Record, box_around, real_size


def read_yolo(root: Path) -> Content:
    """Read images and their labels in one of the usual layouts.

    ``images/train/a.jpg`` with ``labels/train/a.txt``, ``train/images/a.jpg``
    with ``train/labels/a.txt``, or the text beside its image. Images without
    a text file have no objects. Of a pose, the box is taken.

    Raises:
        DataError: if a line is not in the format, the names of the classes
            are not clear, or labels and images do not go together one by one.
    """
    files = walk(root)
    named = by_name(files)
    images = sorted(image for group in named.values() for image in group)
    sheets = read_sheets(root, files)
    names, points = sheets[0].names, _keypoints(sheets)
    labels = label_files(root, files, images)
    records = []
    for image in images:
        size = real_size(image)
        label = labels.get(image)
        objects = _objects(label, size.seen, names, points) if label else []
        records.append(Record(image, size.seen, objects, turned=size.turn > 1))
    if not labels:
        raise DataError(f'{root}: no image has a text file of labels', 'labels/NAME.txt or '
                        'NAME.txt beside each image')
    without = len(images) - len(labels)
    notes = [f'{without} of {len(images)} images have no text file: nothing is in them'] \
        if without else []
    notes += _polygons(root, records, labels)
    lists, more = yolo_lists(root, sheets, files, named)
    return Content(records, list(names.values()),
                   notes + alone(root, files, set(labels.values())) + more, lists)


def _polygons(root: Path, records: Sequence[Record], labels: Dict[Path, Path]) -> List[str]:
    """A note on lines that are read as polygons, or none.

    Raises:
        DataError: if all of them seem to be boxes of a tracker, which are
            CLASS X Y WIDTH HEIGHT CONFIDENCE TRACK.
    """
    found = [(record, o.polygons[0]) for record in records for o in record.objects if o.polygons]
    if not found:
        return []
    number = sum(len(record.objects) for record in records)
    first = labels[found[0][0].file].relative_to(root)
    # a track of 0 or 1; others are outside the image
    if len(found) == number and all(len(polygon) == 6 and polygon[5] in (0, record.size[1])
                                    for record, polygon in found):
        raise DataError(
            f'{root}: all {number} lines have seven numbers, of which the last is whole (the first '
            f'is in {first}). They seem to be boxes with a confidence and a track, and would be '
            'read as triangles', 'delete the sixth and the seventh number of each line')
    return [f'{len(found)} of {number} lines are read as polygons, not as boxes (the first is in '
            f'{first}). This is right for outlines, and wrong for boxes with a confidence and a '
            'track behind them']


def _keypoints(sheets: Sequence[Sheet]) -> Optional[int]:
    """Numbers of the keypoints that follow on each box, by ``kpt_shape``; None: boxes only."""
    stated = {str(sheet.content['kpt_shape']): sheet for sheet in sheets
              if sheet.content.get('kpt_shape') is not None}
    if not stated:
        return None
    sheet = list(stated.values())[0]
    shape = sheet.content['kpt_shape']
    if len(stated) > 1 or not isinstance(shape, list) or len(shape) != 2 or not all(
            type(v) is int and v > 0 for v in shape):
        raise DataError(f'{sheet.file}: kpt_shape is {" and ".join(stated)}, not the number of '
                        'keypoints and 2 or 3', 'correct it')
    return shape[0] * shape[1]


def _objects(file: Path, size: Tuple[int, int], names: Dict[int, str],
             keypoints: Optional[int]) -> List[Object]:
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
        if keypoints is not None:
            if len(values) != 4 + keypoints:
                raise DataError(f'{file}, line {number} has {1 + len(values)} numbers; with '
                                f'kpt_shape in the YAML file there are {5 + keypoints}',
                                'correct the line, or delete kpt_shape if these are no keypoints')
            values = values[:4]
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
