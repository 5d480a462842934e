"""Reader for YOLO: a text file for each image, with boxes as fractions of its size."""
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set, Tuple

from ..findings import DataError
from ..numbers import as_number
from ..reading import read_text
from .files import by_name, walk
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
    labels = _labels(root, images)
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
    masks = [labels[record.file] for record in records for o in record.objects if o.polygons]
    if masks:
        notes.append(f'{len(masks)} of {sum(len(r.objects) for r in records)} lines are read as '
                     f'polygons, not as boxes (the first is in {masks[0].relative_to(root)})')
    lists, more = yolo_lists(root, sheets, files, named)
    return Content(records, list(names.values()),
                   notes + _alone(root, files, set(labels.values())) + more, lists)


def _labels(root: Path, images: Sequence[Path]) -> Dict[Path, Path]:
    """The text file of each image that has one."""
    found: Dict[Path, Path] = {}
    owner: Dict[Path, Path] = {}
    for image in images:
        parts = list(image.relative_to(root).with_suffix('.txt').parts)
        texts = [image.with_suffix('.txt')]
        texts += [root.joinpath(*parts[:i], 'labels', *parts[i + 1:])
                  for i, word in enumerate(parts) if word == 'images']
        texts = [file for file in texts if file.is_file()]
        for text in texts[1:]:
            if text.read_bytes() != texts[0].read_bytes():
                raise DataError(f'{texts[0]} and {text} both belong to the image {image}, and '
                                'differ', 'delete one of them')
        for text in texts:
            if owner.setdefault(text, image) != image:
                raise DataError(f'{text} belongs to two images, {owner[text]} and {image}',
                                'give each image its own name')
        if texts:
            found[image] = texts[0]
    return found


def _alone(root: Path, files: Sequence[Path], used: Set[Path]) -> List[str]:
    """A note on files of labels whose image is not there, or none."""
    alone = [file for file in files if file.suffix == '.txt' and file not in used
             and _has_labels(file)]
    return [f'{len(alone)} text files have labels, but no image (the first: '
            f'{alone[0].relative_to(root)})'] if alone else []


def _has_labels(file: Path) -> bool:
    try:
        first = read_text(file).split('\n', 1)[0].split()
    except DataError:  # nobody needs this file
        return False
    return len(first) >= 5 and all(as_number(word) is not None for word in first)


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
