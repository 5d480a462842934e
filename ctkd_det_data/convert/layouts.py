"""Chooses the reader for a folder, and converts it."""
import re
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from ..alike import ALIKE, SPELL, pairs
from ..findings import DataError
from ..image_size import TURNED
from ..reading import read_json
from .coco import read_coco
from .files import walk
from .labelme import read_labelme
from .parts import settle
from .records import Record, write
from .voc import read_voc
from .yolo import read_yolo

# editors and other tools write XML, too
_ANNOTATION = re.compile(rb'<annotation[\s>]')
KINDS = dict(voc=read_voc, yolo=read_yolo, labelme=read_labelme, coco=read_coco)


def convert(source: Path, out: Path, kind: Optional[str] = None,
            val_share: float = 0.2, longest_side: Optional[int] = None
            ) -> Tuple[str, Dict[str, int], List[str]]:
    """Convert a data set of another layout to COCO's format.

    Args:
        source (Path): Its folder.
        out (Path): A new folder.
        kind (str, optional): One of :data:`KINDS`. Defaults to None:
            the folder's files decide.
        val_share (float): See :func:`ctkd_det_data.convert.records.write`.
            Defaults to 0.2.
        longest_side (int, optional): See there. Defaults to None.

    Returns:
        tuple: The kind, the number of images of each part, and notes, among
        them what decided the part of each image.

    Raises:
        DataError: if the folder cannot be read; nothing is written then.
    """
    source = source.expanduser().resolve()
    if not source.is_dir():
        raise DataError(f'there is no folder {source}')
    kind = kind or _kind(source)
    records, classes, notes, lists = KINDS[kind](source)
    if not records:
        raise DataError(f'{source} has no annotated images of the layout {kind}',
                        'say with --kind what it is')
    records, more = settle(records, source, lists, val_share)
    numbers = write(records, source, out.expanduser().resolve(), classes, val_share, longest_side)
    names = classes or {o.name for record in records for o in record.objects}
    alike = pairs(names) if kind != 'coco' else ''  # whose findings say it
    return kind, numbers, [*notes, *more, *_turned(records),
                           *([f'{alike} {ALIKE}: {SPELL}'] if alike else [])]


def _turned(records: Sequence[Record]) -> List[str]:
    turned = [record.file.name for record in records if record.turned]
    return [f'{len(turned)} of {len(records)} images {TURNED} (the first: {turned[0]})'] \
        if turned else []


def _kind(root: Path) -> str:
    files = walk(root)
    if any(file.suffix.lower() == '.xml' and _ANNOTATION.search(_head(file)) for file in files):
        return 'voc'
    for file in [file for file in files if file.suffix.lower() == '.json'][:5]:
        try:
            content = read_json(file, unique=False)[0]
        except DataError:
            continue
        if isinstance(content, dict) and 'shapes' in content:
            return 'labelme'
        if isinstance(content, dict) and 'images' in content:
            return 'coco'
    if any(file.suffix.lower() == '.txt' for file in files):
        return 'yolo'
    raise DataError(f'{root} has neither XML files (VOC), nor text files (YOLO), nor JSON files of '
                    'labelme or COCO', 'ctkd-det doctor --data shows what it has; --kind says what '
                    'it is')


def _head(file: Path) -> bytes:
    """The beginning of a file, in which every second byte of UTF-16 is left out."""
    try:
        with file.open('rb') as opened:
            return opened.read(2000).replace(b'\0', b'')
    except OSError as error:
        raise DataError(f'{file} cannot be read: {error.strerror}') from error
