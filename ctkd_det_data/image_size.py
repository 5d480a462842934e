"""Reads the size of an image, if possible without decoding it, and checks that it can be read."""
import io
import os
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, NamedTuple, Optional

# formats that mmcv reads and Pillow does not
_NOT_PILLOWS = ('.exr', '.hdr', '.pfm', '.pic')
_ORIENTATION = 0x0112
# bytes near the end of a whole file; MPO is a JPEG of phones with a second picture behind it
_END, _TAIL = b'\xff\xd9', 32
JPEGS = ('JPEG', 'MPO')
# OpenCV opens no image of more pixels; one of half a gigabyte in memory is not decoded here
_MOST, _LARGE = 2 ** 30, 2 ** 27
UNREAD = ('cannot be opened as an image by OpenCV, with which MMDetection reads (cut off, damaged, '
          'of a format that OpenCV does not know, or of more than 2^30 pixels)')
TURNED = ('are turned or mirrored by their EXIF tag when MMDetection reads them, and nothing says '
          'whether their boxes were drawn on the upright pictures')


class Size(NamedTuple):
    """Width and height in pixels, as MMDetection reads the image and without its EXIF rotation.

    ``whole`` is False if the file ends before the image does, and OpenCV reads it all the same.
    ``turn`` is the orientation that its EXIF data state, 1 to 8.
    """
    seen: tuple
    stored: tuple
    whole: bool = True
    turn: int = 1

    @property
    def looks_upright(self) -> bool:
        """bool: Whether the image is turned or mirrored, and its size does not show that."""
        return self.turn > 1 and self.seen == self.stored


def size_of(path: Path) -> Optional[Size]:
    """Read the size of an image from its header; None if MMDetection cannot read the image.

    If only mmcv reads the format, or Pillow is missing, the size is unknown.
    ``Size`` then holds (0, 0), which equals every stated size.
    """
    try:
        from PIL import Image
    except ImportError:
        return UNKNOWN
    if path.suffix.lower() in _NOT_PILLOWS:
        return UNKNOWN
    try:
        with _any_size(), Image.open(path) as image:
            stored, turn = image.size, orientation(image)
            if stored[0] * stored[1] > _MOST:
                return None
            sound = stored[0] * stored[1] > _LARGE or _is_sound(image)
    except (OSError, SyntaxError, ValueError):
        seen = _decoded(path)  # OpenCV passes over some faults that Pillow stops at
        return seen and Size(seen, seen)
    if sound:
        return Size(stored[::-1] if turn > 4 else stored, stored, turn=turn)
    seen = _decoded(path)
    if turn > 4 and seen == stored and seen != seen[::-1]:  # OpenCV turns no AVIF
        turn = 1
    return seen and Size(seen, stored, sound is None, turn)


def orientation(image) -> int:
    """The orientation of Pillow's image by its EXIF data, 1 to 8; 1 is upright.

    OpenCV reads no other. ``image.getexif()`` takes that of XMP as well, and
    would decode the whole picture of a PNG.
    """
    from PIL import Image
    exif = Image.Exif()
    exif.load(image.info.get('exif') or b'')
    turn = exif.get(_ORIENTATION, 1)
    return turn if turn in range(1, 9) else 1


@contextmanager
def _any_size() -> Iterator[None]:
    """Let Pillow open the header of an image of any size, without a warning."""
    from PIL import Image
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _is_sound(image) -> Optional[bool]:
    """Whether the file contains the image up to its end; None: only decoding it can tell.

    Some cameras write more bytes behind a JPEG. Pillow then has to decode it.
    """
    try:
        if image.format == 'PNG':
            image.verify()  # the checksums of its parts
        elif image.format in JPEGS:
            place = image.fp.tell()
            image.fp.seek(-min(_TAIL, image.fp.seek(0, os.SEEK_END)), os.SEEK_END)
            found = _END in image.fp.read()
            image.fp.seek(place)
            if not found:
                _load_without_zeros(image.fp)
                image.fp.seek(place)
    except (OSError, SyntaxError, ValueError):
        return None if image.format == 'PNG' else False
    return True if image.format in ('PNG', 'WEBP', *JPEGS) else None


def _load_without_zeros(file) -> None:
    """Decode a picture without the zeros at its end, which a decoder would take for grey.

    A copy that was interrupted has them if its place on the disk was reserved.

    Raises:
        OSError: if the picture is not complete.
    """
    from PIL import Image
    file.seek(0)
    with Image.open(io.BytesIO(file.read().rstrip(b'\0'))) as image:
        image.load()


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


UNKNOWN = _Unknown((0, 0), (0, 0))
