"""Draws boxes on images, side by side.

Without pyplot, so that importing it from a training leaves the user's choice
of matplotlib's backend alone.
"""
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

# (x1, y1, x2, y2), class, score; ground truth has no score
Box = Tuple[Sequence[float], str, Optional[float]]


def draw_boxes(images: Sequence[np.ndarray], columns: Dict[str, List[List[Box]]],
               names: Sequence[str]) -> Figure:
    """One row for each image, one column for each who has boxes on it.

    Args:
        images (Sequence[ndarray]): RGB, (H, W, 3).
        columns (dict): Title -> boxes of each image; the score is written
            where there is one.
        names (Sequence[str]): The classes that have a colour of their own;
            others, which only a teacher may know, are grey.

    Returns:
        Figure: Not shown, not saved.
    """
    figure = Figure(figsize=(2.8 * len(columns), 2.8 * len(images)), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(images), len(columns), squeeze=False)
    for column, (title, boxes) in enumerate(columns.items()):
        axes[0, column].set_title(title)
        for row, image in enumerate(images):
            _draw(axes[row, column], image, boxes[row], names)
    return figure


def render(figure: Figure) -> np.ndarray:
    """The figure's pixels, (H, W, 3) RGB in uint8."""
    figure.canvas.draw()
    return np.ascontiguousarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])


def detections(sample, score_thr: float, names: Sequence[str]) -> List[Box]:
    """Boxes of a predicted ``DetDataSample`` with at least ``score_thr``.

    ``names`` are the classes of the detector that predicted; a class beyond
    them (of a teacher of features, whose names need not be known) is a number.
    """
    found = sample.pred_instances[sample.pred_instances.scores >= score_thr]
    return list(zip(found.bboxes.tolist(),
                    (names[label] if label < len(names) else f'class {label}'
                     for label in found.labels.tolist()),
                    found.scores.tolist(), strict=True))


def _draw(axis, image: np.ndarray, boxes: List[Box], names: Sequence[str]) -> None:
    axis.imshow(image)
    axis.set_axis_off()
    colours = {name: f'C{index}' for index, name in enumerate(names)}
    for (x1, y1, x2, y2), name, score in boxes:
        colour = colours.get(name, 'gray')
        axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, linewidth=1.5,
                                 edgecolor=colour))
        text = name if score is None else f'{name} {score:.2f}'
        axis.text(x1, y1 - 1, text, color='white', fontsize=7, clip_on=True,
                  bbox=dict(facecolor=colour, edgecolor='none', pad=.6))
