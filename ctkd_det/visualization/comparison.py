"""Shows what several detectors see on the same images."""
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt  # noqa: E402  (after the choice of backend)
import numpy as np  # noqa: E402
from mmdet.apis import inference_detector, init_detector  # noqa: E402
from pycocotools.coco import COCO  # noqa: E402

Box = Tuple[Sequence[float], int, float]  # (x1, y1, x2, y2), class, score


def compare_detectors(detectors: Dict[str, Tuple[str, str]], coco: COCO, image_dir: str,
                      out: str, num_images: int = 5, score_thr: float = 0.4) -> Path:
    """Draw ground truth and detections side by side.

    Args:
        detectors (dict): Title -> (config, checkpoint).
        coco (COCO): The annotations; its first images are shown.
        image_dir (str): Folder of the images.
        out (str): The picture.
        num_images (int): Rows. Defaults to 5.
        score_thr (float): Detections below are not drawn. Defaults to 0.4.

    Returns:
        Path: The picture.
    """
    images = [coco.imgs[i] for i in sorted(coco.imgs)[:num_images]]
    paths = [str(Path(image_dir) / image['file_name']) for image in images]
    columns = {'ground truth': [_ground_truth(coco, image['id']) for image in images]}
    for title, (config, checkpoint) in detectors.items():
        columns[title] = _detect(config, checkpoint, paths, score_thr)
    names = [cat['name'] for cat in coco.loadCats(sorted(coco.cats))]
    figure, axes = plt.subplots(len(images), len(columns), squeeze=False, layout='constrained',
                                figsize=(2.8 * len(columns), 2.8 * len(images)))
    for column, (title, boxes) in enumerate(columns.items()):
        axes[0, column].set_title(title)
        for row, path in enumerate(paths):
            _draw(axes[row, column], plt.imread(path), boxes[row], names)
    figure.savefig(out, dpi=110)
    plt.close(figure)
    return Path(out)


def _ground_truth(coco: COCO, image_id: int) -> List[Box]:
    labels = {cat: i for i, cat in enumerate(sorted(coco.cats))}
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=image_id))
    return [((x, y, x + w, y + h), labels[a['category_id']], 1.0)
            for a in annotations for x, y, w, h in (a['bbox'], )]


def _detect(config: str, checkpoint: str, paths: List[str], score_thr: float) -> List[List[Box]]:
    model = init_detector(config, checkpoint, palette='random', device='cpu')
    detections = []
    for sample in inference_detector(model, paths):
        found = sample.pred_instances[sample.pred_instances.scores >= score_thr]
        detections.append(list(zip(found.bboxes.tolist(), found.labels.tolist(),
                                   found.scores.tolist(), strict=True)))
    return detections


def _draw(axis, image: np.ndarray, boxes: List[Box], names: List[str]) -> None:
    axis.imshow(image)
    axis.set_axis_off()
    for (x1, y1, x2, y2), label, score in boxes:
        axis.add_patch(plt.Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, linewidth=1.5,
                                     edgecolor=f'C{label}'))
        text = names[label] if score == 1.0 else f'{names[label]} {score:.2f}'
        axis.text(x1, y1 - 1, text, color='white', fontsize=7, clip_on=True,
                  bbox=dict(facecolor=f'C{label}', edgecolor='none', pad=.6))
