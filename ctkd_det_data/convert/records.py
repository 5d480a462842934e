"""Images with named boxes, and their conversion to files of COCO's format."""
import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from ..findings import DataError
from ..image_size import JPEGS, UNKNOWN, UNREAD, Size, orientation, size_of
from .files import HEICS

# what Roboflow adds to the name of a photo for each picture that it makes of it
_ROBOFLOWS = re.compile(r'\.rf\.[0-9a-f]+')
# modes of Pillow in which it takes the nearest of the colours of a palette, or makes what is
# transparent count less, and the modes in which it shrinks what OpenCV reads
_OPENCVS = {'1': 'L', 'P': 'RGB', 'PA': 'RGB', 'RGBA': 'RGB', 'LA': 'L'}
# numbers of Pillow's Image.Transpose by the orientation that EXIF data state
_UPRIGHT = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}


@dataclass
class Object:
    """One object.

    Attributes:
        name: Its class.
        box: x, y, width and height in pixels of the image.
        polygons: Its mask as lists x, y, x, y ...
        ignored: Whether nothing is to be learnt from it.
        area: Its area in pixels; None: that of the box. It decides whether
            an evaluation counts the object as small, medium or large.
        run_lengths: Its mask in COCO's other form, in place of polygons.
    """
    name: str
    box: List[float]
    polygons: List[List[float]] = field(default_factory=list)
    ignored: bool = False
    area: Optional[float] = None
    run_lengths: Optional[dict] = None


@dataclass
class Record:
    """One image.

    Attributes:
        file: Where it is.
        size: Its width and height.
        objects: What is in it.
        part: 'train' or 'val'; None: a hash of its name decides.
        turned: Whether its EXIF tag turns or mirrors it, and nothing says
            whether the objects were drawn on the upright picture.
    """
    file: Path
    size: Tuple[int, int]
    objects: List[Object]
    part: Optional[str] = None
    turned: bool = False


def real_size(file: Path) -> Size:
    """The size of an image as MMDetection reads it.

    Raises:
        DataError: if it is none, is cut off, or cannot be looked into.
    """
    size = size_of(file)
    if size is UNKNOWN:
        raise DataError(f'the size of {file} cannot be read without Pillow', 'pip install pillow')
    if size is None and file.suffix.lower() in HEICS:
        raise DataError(f'{file} is in the format of phones that OpenCV, with which MMDetection '
                        'reads, does not know', 'save it as JPEG')
    if size is None:
        raise DataError(f'{file} {UNREAD}', 'copy it again, save it as PNG, or delete it')
    if not size.whole:
        raise DataError(f'{file} is cut off: the file ends before the image does',
                        'copy it again, or delete it')
    return size


def write(records: Sequence[Record], root: Path, out: Path, classes: Optional[Sequence[str]],
          val_share: float, longest_side: Optional[int] = None) -> Dict[str, int]:
    """Write ``out/train.json``, ``out/val.json`` and ``out/images``.

    Args:
        records (Sequence[Record]): The images.
        root (Path): The folder that the names of images are relative to.
        out (Path): An empty folder, or none yet.
        classes (Sequence[str], optional): Names in the order of the labels;
            None for the names that occur, sorted.
        val_share (float): Share of the images for validation, if the source
            does not say which ones. An image stays in its part if other
            images are added or removed.
        longest_side (int, optional): Larger images are shrunk to this many
            pixels, with their boxes. Defaults to None, as they are.

    Returns:
        dict: Number of images in 'train' and 'val'.

    Raises:
        DataError: if ``out`` is not empty, a part would have no image, or a
            file cannot be read or written. Nothing is written then.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f'{out} is a file', 'give a new folder')
    if out.exists() and any(out.iterdir()):
        raise DataError(f'{out} is not empty', 'give a new folder')
    names = list(classes or sorted({o.name for r in records for o in r.objects}))
    if not names:
        raise DataError(f'{root}: no object is annotated')
    parts: Dict[str, List[Record]] = dict(train=[], val=[])
    for record in records:
        parts[record.part or _drawn(record.file.relative_to(root), val_share)].append(record)
    for part, chosen in parts.items():
        if not chosen:
            raise DataError(f'{root}: no image of {len(records)} would be in {part}',
                            'annotate images of that part, or choose another --val-share')
    try:
        _write_whole(parts, names, root, out, longest_side)
    except OSError as error:
        raise DataError(f'{out} cannot be written: {error}') from error
    return {part: len(chosen) for part, chosen in parts.items()}


def _write_whole(parts: Dict[str, List[Record]], names: Sequence[str], root: Path, out: Path,
                 longest_side: Optional[int]) -> None:
    """Write all files or none: first to a temporary folder.

    That folder is inside ``out`` if ``out`` exists, because it may be on
    another disk, or the only place where the user may write. Otherwise it is
    beside ``out``.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    place = out if out.is_dir() else out.parent
    with tempfile.TemporaryDirectory(prefix=f'.{out.name}.', dir=place) as folder:
        draft = Path(folder)
        for part, chosen in parts.items():
            for record in chosen:
                target = draft / 'images' / record.file.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                if longest_side and max(record.size) > longest_side:
                    _shrink(record, longest_side, target)
                else:
                    _put(record.file, target)
            (draft / f'{part}.json').write_text(json.dumps(_coco(chosen, names, root)),
                                                encoding='utf-8')
        out.mkdir(exist_ok=True)  # a temporary folder can be read by its owner only
        for file in list(draft.iterdir()):
            file.rename(out / file.name)


def _drawn(name: Path, share: float) -> str:
    photo = _ROBOFLOWS.sub('', name.as_posix())
    number = int(hashlib.md5(photo.encode(), usedforsecurity=False).hexdigest()[:8], 16)
    return 'val' if number < share * 16 ** 8 else 'train'


def _put(source: Path, target: Path) -> None:
    """Make a hard link if that is possible, else a copy."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)


def _shrink(record: Record, longest_side: int, target: Path) -> None:
    from PIL import Image
    if any(o.run_lengths for o in record.objects):
        raise DataError(f'{record.file} has masks as run lengths, which cannot be shrunk',
                        'leave --longest-side out, or export the masks as polygons')
    factor = longest_side / max(record.size)
    record.size = tuple(max(round(v * factor), 1) for v in record.size)
    try:
        with Image.open(record.file) as image:
            turn = _UPRIGHT.get(orientation(image))
            upright = image if turn is None else image.transpose(turn)
            upright.info.pop('transparency', None)  # of a palette, of which Pillow warns
            seen = upright.convert(_OPENCVS.get(image.mode, image.mode))
            seen.resize(record.size, Image.Resampling.LANCZOS).save(
                target, **(dict(quality=92) if image.format in JPEGS else {}))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f'{record.file} cannot be shrunk: {error}',
                        'copy it again, or leave --longest-side out') from error
    for o in record.objects:
        o.box = [v * factor for v in o.box]
        o.polygons = [[v * factor for v in polygon] for polygon in o.polygons]
        o.area = None if o.area is None else o.area * factor ** 2


def _coco(records: Sequence[Record], names: Sequence[str], root: Path) -> dict:
    label = {name: index + 1 for index, name in enumerate(names)}
    images, annotations = [], []
    for record in records:
        images.append(dict(id=len(images) + 1, width=record.size[0], height=record.size[1],
                           file_name=record.file.relative_to(root).as_posix()))
        for o in record.objects:
            area = o.box[2] * o.box[3] if o.area is None else o.area
            mask = o.run_lengths or o.polygons
            annotations.append(dict(
                id=len(annotations) + 1, image_id=len(images), category_id=label[o.name],
                bbox=[round(v, 3) for v in o.box], area=round(area, 3), iscrowd=int(o.ignored),
                **(dict(segmentation=mask) if mask else {})))
    return dict(images=images, annotations=annotations, categories=[
        dict(id=index, name=name) for name, index in label.items()])


def box_around(points: Sequence[Sequence[float]]) -> List[float]:
    """The box [x, y, width, height] around points (x, y)."""
    xs, ys = zip(*points, strict=True)
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
