"""Validation images as the detectors read them, small enough for the page."""
import base64
import io
from pathlib import Path

import mmcv
import numpy as np
from PIL import Image

from ...first_line import first_line
from .predictions import Predictions
from .runs import Missing


def read_picture(predictions: Predictions, index: int) -> np.ndarray:
    """One of the images, (H, W, 3) RGB in uint8, as mmdet's pipelines read it.

    Turned as its EXIF data say, and 16 bits brought to 8.

    Raises:
        Missing: if it is no longer there, is no image, or lies outside the
            data folder, where it is not read.
    """
    path = Path(predictions.paths[index])
    if not predictions.inside_data_folder(index):
        raise Missing(f'{path} is not shown: the file_name leads out of the data folder '
                      f'{predictions.image_folder}.')
    if not path.is_file():
        raise Missing(f'The validation image {path} is no longer there.')
    try:
        picture = mmcv.imread(str(path))
    except Exception as error:  # a decoder fails as it likes
        raise Missing(f'The validation image {path} could not be read '
                      f'({first_line(error)}).') from error
    if picture is None:
        raise Missing(f'The validation image {path} could not be read.')
    return np.ascontiguousarray(picture[..., ::-1])


def crop(picture: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A box (4,) as x1, y1, x2, y2 and a quarter of its size around it."""
    x1, y1, x2, y2 = (float(v) for v in box)
    margin = max(x2 - x1, y2 - y1) / 4
    height, width = picture.shape[:2]
    left, top = int(max(0, min(x1 - margin, width - 1))), int(max(0, min(y1 - margin, height - 1)))
    return picture[top:max(top + 1, int(y2 + margin + 1)), left:max(left + 1, int(x2 + margin + 1))]


def data_uri(picture: np.ndarray, largest_side: int) -> str:
    """The picture as a JPEG in a data URI, made smaller if a side is longer than that."""
    small = Image.fromarray(picture)
    small.thumbnail((largest_side, largest_side))
    buffer = io.BytesIO()
    small.save(buffer, 'JPEG', quality=86)
    return 'data:image/jpeg;base64,' + base64.b64encode(buffer.getvalue()).decode()
