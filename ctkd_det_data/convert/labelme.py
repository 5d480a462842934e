"""Reader for labelme: a JSON file for each image."""
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from ..findings import DataError
from ..numbers import as_number
from ..reading import read_json
from .files import walk
from .partners import Images
from .parts import Content
from .records import Object, Record, box_around, real_size


def read_labelme(root: Path) -> Content:
    """Read a folder with a JSON file of labelme for each image.

    Rectangles and polygons are read. A note counts the other shapes. Shapes of
    one label and one ``group_id`` are one object, as for labelme's own
    converter. From ``difficult`` ones, which forks of labelme write, nothing
    is learnt.

    Raises:
        DataError: if an image is missing or has another size than stated, a
            shape has no label, or all shapes are others.
    """
    files = walk(root)
    images, records, other, grouped = Images(root, files), [], 0, 0
    for file in (f for f in files if f.suffix.lower() == '.json'):
        content = read_json(file)[0]
        if not isinstance(content, dict) or 'shapes' not in content:
            continue
        named = str(content.get('imagePath') or '')
        image = images.of(file, named)
        if image is None:
            raise DataError(f'{file}: its image {named!r} is not below {root}', 'put it there')
        real = real_size(image)
        size = real.seen
        _compare(file, content, size)
        if not isinstance(content['shapes'], list):
            raise DataError(f'{file}: shapes is {content["shapes"]!r:.40}, not a list',
                            'save it again with labelme')
        groups: Dict[object, List[Object]] = {}
        for number, shape in enumerate(content['shapes']):
            found = _shape(f'{file}: shapes[{number}]', shape)
            other += found is None
            if found:
                group = shape.get('group_id')
                key = number if group in (None, '') else (found.name, str(group))
                groups.setdefault(key, []).append(found)
        grouped += sum(len(group) > 1 for group in groups.values())
        records.append(Record(image, size, list(map(_joined, groups.values())),
                              turned=real.looks_upright))
    if other and not any(record.objects for record in records):
        raise DataError(f'{root}: none of {other} shapes is a rectangle or polygon',
                        'draw rectangles or polygons')
    ignored = sum(o.ignored for record in records for o in record.objects)
    notes = [note for number, note in (
        (other, f'{other} shapes are neither rectangles nor polygons and were left out'),
        (grouped, f'{grouped} objects were joined from several shapes of one group_id'),
        (ignored, f'{ignored} objects are difficult: nothing is learnt from them')) if number]
    return Content(records, None, notes + images.without('JSON'))


def _joined(shapes: List[Object]) -> Object:
    """One object of the shapes of a group."""
    if len(shapes) == 1:
        return shapes[0]
    corners = [(x, y, x + w, y + h) for x, y, w, h in (o.box for o in shapes)]
    rectangles = [[left, top, right, top, right, bottom, left, bottom]
                  for left, top, right, bottom in corners]
    masks = [o.polygons or [box] for o, box in zip(shapes, rectangles, strict=True)]
    return Object(
        shapes[0].name, box_around([p for c in corners for p in (c[:2], c[2:])]),
        sum(masks, []) if any(o.polygons for o in shapes) else [], any(o.ignored for o in shapes))


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
    if len(points) < 2 or (shape.get('shape_type') or 'polygon') not in ('rectangle', 'polygon'):
        return None
    if None in sum(points, []):
        raise DataError(f'{where} has a point that is no number', 'draw it again')
    label = shape.get('label')
    if label is None or not str(label).strip():
        raise DataError(f'{where} has no label', 'write one')
    polygon = [v for point in points for v in point] if len(points) > 2 else []
    return Object(str(label).strip(), box_around(points), [polygon] if polygon else [],
                  shape.get('difficult') is True)
