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
    names = [cat['name'] for cat in coco.loadCats(sorted(coco.cats))]
    for title, (config, checkpoint) in detectors.items():
        model = init_detector(config, checkpoint, palette='random', device='cpu')
        columns[title] = [detections(sample, score_thr, names)
                          for sample in inference_detector(model, paths)]
    pixels = [mmcv.imread(path, channel_order='rgb') for path in paths]
    draw_boxes(pixels, columns, names).savefig(out, dpi=110)
    return Path(out)


def _ground_truth(coco: COCO, image_id: int) -> List[Box]:
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[image_id]))
    return [((x, y, x + w, y + h), coco.cats[a['category_id']]['name'], None)
            for a in annotations for x, y, w, h in (a['bbox'], )]
