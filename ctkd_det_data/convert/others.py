"""Readers for labelme's files and for a single file of COCO's format."""
import os
from pathlib import Path
from typing import Optional, Tuple

from ..check import Part, check
from ..findings import FAIL, DataError
from ..layouts import image_folder
from ..numbers import as_number
from ..reading import is_coco, read, read_json
from .files import walk
from .partners import Images
from .parts import Content
from .records import Object, Record, box_around, real_size


def read_labelme(root: Path) -> Content:
    """Read a folder with a JSON file of labelme for each image.

    Rectangles and polygons are read. A note counts the other shapes.

    Raises:
        DataError: if an image is missing or has another size than stated, or
            a shape has no label.
    """
    files = walk(root)
    images, records, other = Images(root, files), [], 0
    for file in (f for f in files if f.suffix.lower() == '.json'):
        content = read_json(file)[0]
        if not isinstance(content, dict) or 'shapes' not in content:
            continue
        named = str(content.get('imagePath') or '')
        image = images.of(file, named)
        if image is None:
            raise DataError(f'{file}: its image {named!r} is not below {root}', 'put it there')
        size = real_size(image)
        _compare(file, content, size)
        if not isinstance(content['shapes'], list):
            raise DataError(f'{file}: shapes is {content["shapes"]!r:.40}, not a list',
                            'save it again with labelme')
        objects = []
        for number, shape in enumerate(content['shapes']):
            found = _shape(f'{file}: shapes[{number}]', shape)
            other += found is None
            objects += [found] if found else []
        records.append(Record(image, size, objects))
    notes = [f'{other} shapes are neither rectangles nor polygons and were left out'] \
        if other else []
    return Content(records, None, notes + images.without('JSON'))


def _compare(file: Path, content: dict, size: Tuple[int, int]) -> None:
    stated = [content.get(key) for key in ('imageWidth', 'imageHeight')]
    for real, value in zip(size, stated, strict=True):
        if value not in (None, '', 0) and as_number(value) != real:
            raise DataError(f'{file}: the image is {size[0]} x {size[1]}, stated is {stated[0]} x '
                            f'{stated[1]}', 'resize the image, or draw the shapes again')


def _shape(where: str, shape: object) -> Optional[Object]:
    """The object of a rectangle or polygon; None: the shape is another one."""
    if not isinstance(shape, dict) or not isinstance(shape.get('points'), list) or not all(
            isinstance(point, list) and len(point) == 2 for point in shape['points']):
        raise DataError(f'{where} has no list of points [x, y]', 'draw it again')
    points = [[as_number(v) for v in point] for point in shape['points']]
    if len(points) < 2 or shape.get('shape_type', 'polygon') not in (
            'rectangle', 'polygon') or None in sum(points, []):
        return None
    label = shape.get('label')
    if label is None or not str(label).strip():
        raise DataError(f'{where} has no label', 'write one')
    polygon = [v for point in points for v in point] if len(points) > 2 else []
    return Object(str(label).strip(), box_around(points), [polygon] if polygon else [])


def read_coco(root: Path) -> Content:
    """Read the one file of COCO's format below a folder, and correct what can be corrected.

    Raises:
        DataError: if there are several such files, a mistake cannot be
            corrected, or an image is outside the folder.
    """
    files = [f for f in walk(root) if f.suffix.lower() == '.json' and is_coco(f)]
    if len(files) != 1:
        raise DataError(f'{root} has {len(files)} files of COCO\'s format: '
                        f'{", ".join(f.name for f in files[:5])}', 'give a folder with one')
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
    from ..rows import class_names
    used = {box['category_id'] for box in content['annotations']}
    return Content(list(records.values()), list(class_names(content['categories'], used)),
                   [str(f) for f in found])


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
