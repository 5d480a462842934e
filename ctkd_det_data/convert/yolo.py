"""Reader for YOLO: a text file for each image, with boxes as fractions of its size."""
from pathlib import Path
from typing import List, Optional, Tuple

from ..findings import DataError
from .records import IMAGES, Object, Record, box_around, real_size

_PARTS = dict(train='train', val='val', valid='val', validation='val', test=None)


def read_yolo(root: Path) -> Tuple[List[Record], List[str], List[str]]:
    """Read images and their labels in one of the usual layouts.

    ``images/train/a.jpg`` with ``labels/train/a.txt``, ``train/images/a.jpg``
    with ``train/labels/a.txt``, or the text beside its image. Images without
    a text file have no objects. Test images are left out if there are
    validation images.

    Returns:
        tuple: Images, names by label, notes.

    Raises:
        DataError: if a line is not in the format.
    """
    images = sorted(f for f in root.rglob('*') if f.suffix.lower() in IMAGES and f.is_file())
    names = _names(root)
    records, without = [], 0
    for image in images:
        label = _label(root, image)
        without += label is None
        size = real_size(image)
        part = next((word for word in reversed(image.relative_to(root).parts[:-1])
                     if word in _PARTS), None)
        if part == 'test':
            continue
        records.append(Record(image, size, _objects(label, size, names) if label else [],
                              _PARTS.get(part)))
    if without == len(images):
        raise DataError(f'{root}: no image has a text file of labels', 'labels/NAME.txt or '
                        'NAME.txt beside each image')
    if {record.part for record in records} == {'train'}:
        for record in records:
            record.part = None
    notes = [f'{without} of {len(images)} images have no text file: nothing is in them'] \
        if without else []
    return records, names, notes


def _label(root: Path, image: Path) -> Optional[Path]:
    parts = list(image.relative_to(root).with_suffix('.txt').parts)
    candidates = [image.with_suffix('.txt')]
    candidates += [root.joinpath(*parts[:i], 'labels', *parts[i + 1:])
                   for i, word in enumerate(parts) if word == 'images']
    return next((file for file in candidates if file.is_file()), None)


def _objects(file: Path, size: Tuple[int, int], names: List[str]) -> List[Object]:
    found = []
    for number, line in enumerate(file.read_text(encoding='utf-8-sig').splitlines(), 1):
        if not line.strip():
            continue
        try:
            index, *values = map(float, line.split())
            name = names[int(index)]
        except (ValueError, IndexError, OverflowError):
            raise DataError(f'{file}, line {number}: {line[:60]!r} is not the number of one of '
                            f'{len(names)} classes with numbers', 'correct it, or the names in '
                            'data.yaml') from None
        if index < 0 or not all(-0.01 <= v <= 1.01 for v in values) or (
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


def _names(root: Path) -> List[str]:
    for file in sorted([*root.rglob('*.yaml'), *root.rglob('*.yml')]):
        try:
            import yaml
        except ImportError as error:
            raise DataError(f'{file} cannot be read without PyYAML',
                            'pip install pyyaml') from error
        try:
            content = yaml.safe_load(file.read_text(encoding='utf-8'))
        except yaml.YAMLError as error:
            raise DataError(f'{file} is no YAML', 'correct it') from error
        names = content.get('names') if isinstance(content, dict) else None
        if isinstance(names, dict):
            names = [names[key] for key in sorted(names)]
        if names:
            return list(map(str, names))
    for file in sorted([*root.rglob('classes.txt'), *root.rglob('obj.names')]):
        lines = file.read_text(encoding='utf-8-sig').splitlines()
        return [line.strip() for line in lines if line.strip()]
    raise DataError(f'{root}: the names of the classes are in no data.yaml, classes.txt or '
                    'obj.names', 'write data.yaml with names: [...]')
