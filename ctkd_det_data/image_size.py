"""Reads the size of an image without decoding it, and checks that the file is whole."""
import os
import warnings
from pathlib import Path
from typing import NamedTuple, Optional

# formats that mmcv reads and Pillow does not
_NOT_PILLOWS = ('.exr', '.hdr', '.pfm', '.pic')
_ORIENTATION = 0x0112
# bytes near the end of a whole file
_ENDS = dict(JPEG=b'\xff\xd9', PNG=b'IEND')
_TAIL = 32


class Size(NamedTuple):
    """Width and height in pixels, as MMDetection reads the image and without its EXIF rotation.

    ``whole`` is False if the file ends before the image does.
    """
    seen: tuple
    stored: tuple
    whole: bool = True


def size_of(path: Path) -> Optional[Size]:
    """Read the size of an image from its header; None if MMDetection cannot read the image.

    If only mmcv reads the format, or Pillow is missing, the size is unknown.
    ``Size`` then holds (0, 0), which equals every stated size.
    """
    try:
        from PIL import Image
    except ImportError:
        return _UNKNOWN
    if path.suffix.lower() in _NOT_PILLOWS:
        return _UNKNOWN
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(path) as image:
                stored = image.size
                # getexif would decode the whole picture of a PNG
                turn = image.getexif().get(_ORIENTATION, 1) if image.info.get('exif') else 1
                whole = _is_whole(image)
    except Image.DecompressionBombError:
        return _UNKNOWN
    except (OSError, SyntaxError, ValueError):
        return None
    return Size(stored[::-1] if turn in (5, 6, 7, 8) else stored, stored, whole)


def _is_whole(image) -> bool:
    """Whether the file contains the image up to its end.

    The picture is decoded only if the file does not end as its format
    prescribes, because some cameras write more bytes behind the image.

    Raises:
        OSError: if a PNG is cut off; OpenCV reads nothing of it.
    """
    end = _ENDS.get(image.format)
    if end is None:
        return True
    place = image.fp.tell()
    image.fp.seek(-min(_TAIL, image.fp.seek(0, os.SEEK_END)), os.SEEK_END)
    found = end in image.fp.read()
    image.fp.seek(place)
    if found:
        return True
    try:
        image.load()
    except (OSError, SyntaxError, ValueError):
        if image.format == 'PNG':
            raise
        return False
    return True


class _Unknown(Size):
    """Equal to whatever is stated."""

    def __bool__(self) -> bool:
        return False


_UNKNOWN = _Unknown((0, 0), (0, 0))
