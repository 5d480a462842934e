"""Reader for Pascal VOC: an XML file for each image."""
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Optional, Tuple

from ..findings import DataError
from ..numbers import as_flag, as_number
from .files import walk
from .lists import voc_lists
from .partners import Images
from .parts import Content
from .records import Object, Record, real_size


def read_voc(root: Path) -> Content:
    """Read all XML files below a folder.

    If an image has another size than stated, but the same ratio of width and
    height, its boxes are scaled: copies of public sets often have resized
    images with old annotations. ``difficult`` objects are ignored. VOC's own
    files count pixels from 1, those of other tools from 0.

    Raises:
        DataError: if an image is missing or not certain, or has another shape
            than stated.
    """
    files = walk(root)
    images = Images(root, files)
    records, scaled, first, several = [], 0, '', []
    for file in (f for f in files if f.suffix.lower() == '.xml'):
        try:
            tree = ET.parse(file).getroot()
        except (ET.ParseError, ValueError, LookupError) as error:  # the latter two: its encoding
            raise DataError(f'{file} is no XML ({error})', 'export it again') from error
        if tree.tag != 'annotation':
            continue
        image = images.of(file, tree.findtext('filename') or '')
        if image is None:
            raise DataError(f'{file}: there is no image {tree.findtext("filename")!r} nor '
                            f'{file.stem!r} below {root}', 'put it there, or delete the XML file')
        real = real_size(image)
        size = real.seen
        ratio = _ratio(file, tree, size)
        if ratio != 1:
            scaled, first = scaled + 1, first or f'{image.name} is {size[0]} x {size[1]}'
        several += [file for element in tree.iter('object') if len(element.findall('bndbox')) > 1]
        records.append(Record(image, size, [
            _object(file, element, ratio, 'VOC20' in (tree.findtext('source/database') or ''))
            for element in tree.iter('object')], turned=real.looks_upright))
    notes = [f'{scaled} of {len(records)} images have another size than their XML file says '
             f'(the first: {first}): their boxes were scaled'] if scaled else []
    if several:
        notes.append(f'{len(several)} objects have more than one bndbox, of which the first was '
                     f'taken (the first object is in {several[0].relative_to(root)})')
    return Content(records, None, notes + images.without('XML'),
                   voc_lists(root, files, images.named))


def _ratio(file: Path, tree: ET.Element, size: Tuple[int, int]) -> float:
    stated = [_number(file, tree, f'size/{key}', 0) for key in ('width', 'height')]
    if min(stated) <= 0:
        return 1
    ratios = [real / other for real, other in zip(size, stated, strict=True)]
    if max(ratios) / min(ratios) > 1.02:
        raise DataError(f'{file}: the image is {size[0]} x {size[1]}, stated is {stated[0]:g} x '
                        f'{stated[1]:g}, which is another shape', 'correct the file or the image')
    return 1 if max(abs(r - s) for r, s in zip(size, stated, strict=True)) <= 1 else ratios[0]


def _object(file: Path, element: ET.Element, ratio: float, from_one: bool) -> Object:
    left, top, right, bottom = (_number(file, element, f'bndbox/{key}')
                                for key in ('xmin', 'ymin', 'xmax', 'ymax'))
    left, right, top, bottom = *sorted((left, right)), *sorted((top, bottom))
    if from_one:
        left, top = left - 1, top - 1
    name = (element.findtext('name') or '').strip()
    if not name:
        raise DataError(f'{file}: an object has no name', 'write one')
    stated = (element.findtext('difficult') or '').strip()
    difficult = 0 if stated.lower() in ('', 'unspecified') else as_flag(stated)
    if difficult is None:
        raise DataError(f'{file}: difficult is {stated!r:.40}', 'write 0, or 1')
    return Object(name, [ratio * v for v in (left, top, right - left, bottom - top)],
                  ignored=bool(difficult))


def _number(file: Path, element: ET.Element, key: str, default: Optional[float] = None) -> float:
    text = element.findtext(key)
    if text is None and default is not None:
        return default
    value = as_number((text or '').strip())
    if value is None:
        raise DataError(f'{file}: {key} is {text!r}, not a number', 'correct it')
    return value
