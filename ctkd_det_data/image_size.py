"""Reads the size of an image, if possible without decoding it, and checks that it can be read."""
import os
import warnings
from pathlib import Path
from typing import NamedTuple, Optional

# formats that mmcv reads and Pillow does not
_NOT_PILLOWS = ('.exr', '.hdr', '.pfm', '.pic')
_ORIENTATION = 0x0112
# bytes near the end of a whole file; MPO is a JPEG of phones with a second picture behind it
_END, _TAIL = b'\xff\xd9', 32
_JPEGS = ('JPEG', 'MPO')
UNREAD = ('cannot be opened as an image by OpenCV, with which MMDetection reads (cut off, damaged, '
          'or of a format that OpenCV does not know)')


class Size(NamedTuple):
    """Width and height in pixels, as MMDetection reads the image and without its EXIF rotation.

    ``whole`` is False if the file ends before the image does, and OpenCV reads it all the same.
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
                sound = _is_sound(image)
    except Image.DecompressionBombError:
        return _UNKNOWN
    except (OSError, SyntaxError, ValueError):
        seen = _decoded(path)  # OpenCV passes over some faults that Pillow stops at
        return seen and Size(seen, seen)
    if sound:
        return Size(stored[::-1] if turn in (5, 6, 7, 8) else stored, stored)
    seen = _decoded(path)
    return seen and Size(seen, stored, sound is None)


def _is_sound(image) -> Optional[bool]:
    """Whether the file contains the image up to its end; None: only decoding it can tell.

    Some cameras write more bytes behind a JPEG. Pillow then has to decode it.
    """
    try:
        if image.format == 'PNG':
            image.verify()  # the checksums of its parts
        elif image.format in _JPEGS:
            place = image.fp.tell()
            image.fp.seek(-min(_TAIL, image.fp.seek(0, os.SEEK_END)), os.SEEK_END)
            found = _END in image.fp.read()
            image.fp.seek(place)
            if not found:
                image.load()
    except (OSError, SyntaxError, ValueError):
        return None if image.format == 'PNG' else False
    return True if image.format in ('PNG', 'WEBP', *_JPEGS) else None


def _decoded(path: Path) -> Optional[tuple]:
    """Width and height as MMDetection reads the image; None if it cannot.

    Pillow reads more formats than OpenCV. Versions of OpenCV differ in whether
    they read a JPEG that is cut off.
    """
    try:
        import cv2
        import numpy as np
    except ImportError:
        from PIL import Image, ImageOps
        try:
            with Image.open(path) as image:
                return ImageOps.exif_transpose(image).size
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            return None
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the finding says it
    try:
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)
    return None if image is None else image.shape[1::-1]


class _Unknown(Size):
    """Equal to whatever is stated."""

    def __bool__(self) -> bool:
        return False


_UNKNOWN = _Unknown((0, 0), (0, 0))
