"""Shows what several detectors see on the same images."""
from pathlib import Path
from typing import Dict, List, Tuple

import mmcv
from mmdet.apis import inference_detector, init_detector
from pycocotools.coco import COCO

from .boxes import Box, detections, draw_boxes


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
    pixels = [mmcv.imread(path, channel_order='rgb') for path in paths]
    draw_boxes(pixels, columns, names).savefig(out, dpi=110)
    return Path(out)


def _ground_truth(coco: COCO, image_id: int) -> List[Box]:
    labels = {cat: i for i, cat in enumerate(sorted(coco.cats))}
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=image_id))
    return [((x, y, x + w, y + h), labels[a['category_id']], 1.0)
            for a in annotations for x, y, w, h in (a['bbox'], )]


def _detect(config: str, checkpoint: str, paths: List[str], score_thr: float) -> List[List[Box]]:
    model = init_detector(config, checkpoint, palette='random', device='cpu')
    return [detections(sample, score_thr) for sample in inference_detector(model, paths)]
