"""A generator of small detection sets in COCO's format: shapes on clutter.

Regular polygons, circles and their relatives, rotated, stretched, textured,
partly hidden, on a background full of strips and blobs. Pentagon, hexagon and
circle differ by a few pixels at these sizes, which is what makes a small
student trail its teacher, and what a teacher's soft answers can tell.

Everything is drawn with numpy from one seed: the same arguments give the same
pixels on any machine, and image i does not depend on how many there are.
"""
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import numpy as np
from PIL import Image
from rich.progress import track


def _polygon(n: int) -> Callable:
    """Regular polygon in the unit circle: its radius as a function of the angle."""

    def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        angle = np.arctan2(y, x) % (2 * np.pi / n) - np.pi / n
        return np.hypot(x, y) * np.cos(angle) <= np.cos(np.pi / n)

    return inside


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Five points: within one arm the edge is a straight line to the notch."""
    angle = np.abs((np.arctan2(y, x) + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
    u, v, notch = np.hypot(x, y) * np.cos(angle), np.hypot(x, y) * np.sin(angle), .45
    nx, ny = notch * np.cos(np.pi / 5), notch * np.sin(np.pi / 5)
    return (u - 1) * ny + v * (1 - nx) <= 0


# class name -> whether the points (x, y) of the unit disc belong to the shape
SHAPES: Dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    'triangle': _polygon(3),
    'square': _polygon(4),
    'pentagon': _polygon(5),
    'hexagon': _polygon(6),
    'circle': lambda x, y: np.hypot(x, y) <= 1,
    'star': _star,
    'cross': lambda x, y: (np.minimum(abs(x), abs(y)) <= .33) & (np.maximum(abs(x), abs(y)) <= .94),
    'ring': lambda x, y: (np.hypot(x, y) <= 1) & (np.hypot(x, y) >= .55),
    'crescent': lambda x, y: (np.hypot(x, y) <= 1) & (np.hypot(x - .5, y) >= .8),
    'halfmoon': lambda x, y: (np.hypot(x, y) <= 1) & (x >= -.1),
}


@dataclass(frozen=True)
class ShapesConfig:
    """What a set looks like.

    Attributes:
        num_images: How many images.
        size: Height and width in pixels.
        num_classes: The first so many of :data:`SHAPES`, 2 to 10.
        max_objects: Objects per image are 1 to this, uniformly.
        clutter: Unlabelled strips and blobs per image, on average.
        occlusion: Largest share of an object that others may hide, 0 to 1.
        seed: Seed of the whole set.
    """
    num_images: int
    size: int = 96
    num_classes: int = 8
    max_objects: int = 5
    clutter: float = 6.0
    occlusion: float = 0.4
    seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.num_classes <= len(SHAPES):
            raise ValueError(f'num_classes must be 2 to {len(SHAPES)}, got {self.num_classes}')
        if self.num_images < 1 or self.size < 32 or self.max_objects < 1:
            raise ValueError('need num_images >= 1, size >= 32 and max_objects >= 1')
        if not 0 <= self.occlusion <= 1 or self.clutter < 0:
            raise ValueError('need 0 <= occlusion <= 1 and clutter >= 0')

    @property
    def classes(self) -> Tuple[str, ...]:
        """tuple[str]: Names of the classes, in order."""
        return tuple(SHAPES)[:self.num_classes]


def draw(config: ShapesConfig, index: int) -> Tuple[np.ndarray, List[dict]]:
    """Draw image ``index`` of the set.

    Returns:
        tuple: the image (size, size, 3), uint8 RGB, and its objects as dicts
        with ``label`` (0-based class), ``bbox`` (x, y, w, h) of the visible
        part in pixels, and ``area``, its visible pixels.
    """
    rng = np.random.default_rng([config.seed, index])
    image = _background(rng, config.size)
    for _ in range(rng.poisson(config.clutter)):
        _paint(rng, image, _clutter_mask(rng, config.size))
    objects: List[dict] = []
    for _ in range(rng.integers(1, config.max_objects + 1)):
        label = int(rng.integers(config.num_classes))
        mask = _object_mask(rng, config, SHAPES[config.classes[label]])
        if _leaves_visible(mask, objects, config.occlusion):
            for other in objects:
                other['mask'] &= ~mask
            objects.append(dict(label=label, mask=mask, full=mask.sum()))
            _paint(rng, image, mask)
    image = image + rng.normal(0, 8, image.shape)
    return image.clip(0, 255).astype(np.uint8), [
        _annotation(obj) for obj in objects if obj['mask'].any()]


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Four random corner colours, blended."""
    corners = rng.uniform(40, 215, (2, 2, 3))
    t = np.linspace(0, 1, size)
    rows = corners[0] + (corners[1] - corners[0]) * t[:, None, None]
    return rows[:, :1] + (rows[:, 1:] - rows[:, :1]) * t[None, :, None]


def _frame(rng: np.random.Generator, size: int, radius: float,
           stretch: float) -> Tuple[np.ndarray, np.ndarray]:
    """Coordinates of all pixels in a random rotated frame, in units of ``radius``."""
    centre, angle = rng.uniform(.6 * radius, size - .6 * radius, 2), rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:size, :size] + .5
    x, y = x - centre[0], y - centre[1]
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    ratio = np.sqrt(rng.uniform(1 / stretch, stretch))
    return u / radius * ratio, v / radius / ratio


def _object_mask(rng: np.random.Generator, config: ShapesConfig, shape: Callable) -> np.ndarray:
    # uniform in the logarithm: COCO's objects are mostly small, too
    radius = config.size * np.exp(rng.uniform(np.log(.07), np.log(.24)))
    return shape(*_frame(rng, config.size, radius, stretch=1.5))


def _clutter_mask(rng: np.random.Generator, size: int) -> np.ndarray:
    """A thin strip or a blob with a wavy outline."""
    u, v = _frame(rng, size, size * rng.uniform(.05, .25), stretch=1.5)
    if rng.random() < .5:
        return (abs(u) <= 1) & (abs(v) <= .12)
    angle, wave = np.arctan2(v, u), 0
    for k in (2, 3, 5):
        wave = wave + rng.uniform(-.3, .3) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    return np.hypot(u, v) <= .7 + wave


def _paint(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray) -> None:
    """Fill ``mask`` with a colour away from what lies under it, perhaps striped."""
    if not mask.any():
        return
    under = image[mask].mean(0)
    colour = (under + rng.choice([-1, 1], 3) * rng.uniform(35, 110, 3)) % 255
    image[mask] = colour
    if rng.random() < .4:
        y, x = np.nonzero(mask)
        stripes = np.sin((x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1)) * 1.5) > 0
        image[y[stripes], x[stripes]] = colour + rng.uniform(-40, 40, 3)


def _leaves_visible(mask: np.ndarray, objects: List[dict], occlusion: float) -> bool:
    """Whether an object can be added: large enough, and hiding nothing too much."""
    return mask.sum() >= 16 and all(
        (obj['mask'] & ~mask).sum() >= (1 - occlusion) * obj['full'] for obj in objects)


def _annotation(obj: dict) -> dict:
    y, x = np.nonzero(obj['mask'])
    box = [x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1]
    return dict(label=obj['label'], bbox=[float(v) for v in box], area=float(len(x)))


def generate(out_dir: str, name: str, config: ShapesConfig) -> Path:
    """Write the set as ``out_dir/name/*.png`` and ``out_dir/name.json``.

    A set that is there already, complete and with the same configuration, is
    left alone.

    Returns:
        Path: The JSON file, COCO's instances format.
    """
    ann_file = Path(out_dir) / f'{name}.json'
    info = dict(description='ctkd_det shapes', version=1, **asdict(config))
    if ann_file.is_file() and json.loads(ann_file.read_text(encoding='utf-8'))['info'] == info:
        return ann_file
    ann_file.unlink(missing_ok=True)  # it must not describe images of another configuration
    (Path(out_dir) / name).mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for i in track(range(config.num_images), f'drawing {name}'):
        image, objects = draw(config, i)
        file_name = f'{i:06d}.png'
        Image.fromarray(image).save(Path(out_dir) / name / file_name)
        images.append(dict(id=i + 1, file_name=file_name, height=config.size, width=config.size))
        annotations += [
            dict(id=len(annotations) + k + 1, image_id=i + 1, category_id=obj['label'] + 1,
                 bbox=obj['bbox'], area=obj['area'], iscrowd=0)
            for k, obj in enumerate(objects)
        ]
    categories = [dict(id=i + 1, name=c) for i, c in enumerate(config.classes)]
    # last, so that an interrupted set is never taken for a complete one
    ann_file.write_text(json.dumps(dict(
        info=info, images=images, annotations=annotations, categories=categories)),
        encoding='utf-8')
    return ann_file
