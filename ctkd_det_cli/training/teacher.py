"""The teacher's metric, from its checkpoint or from the model zoo."""
from pathlib import Path
from typing import Any, Optional

from ctkd_det.compat.reading import read_checkpoint
from ..distill.zoo import zoo_entry
from ..places import shipped


def teachers_metric(cfg: Any, key: str) -> Optional[float]:
    """The teacher's last validation, by its checkpoint or by MMDetection's model zoo.

    Args:
        cfg (Config): Of the distillation.
        key (str): The metric, for example 'coco/bbox_mAP'.

    Returns:
        float, optional: None if it is not known for these data.
    """
    checkpoint, config = cfg.model.get('teacher_ckpt'), cfg.model.get('teacher_config')
    if checkpoint and Path(str(checkpoint)).is_file():
        scalars = read_checkpoint(checkpoint).get('message_hub', {}).get('log_scalars', {})
        history = scalars.get(f'val/{key}')
        return float(history.current()) if history is not None else None
    evaluator = cfg.get('val_evaluator') or {}
    on_coco = str(evaluator.get('ann_file', '') if hasattr(evaluator, 'get') else '').endswith(
        'instances_val2017.json')
    if key == 'coco/bbox_mAP' and on_coco and str(config).startswith('mmdet::'):
        return _published(str(config).removeprefix('mmdet::'))
    return None


def _published(config: str) -> Optional[float]:
    path = shipped('mmdet', 'configs').resolve() / config
    for result in zoo_entry(path).get('Results', ()):
        value = result.get('Metrics', {}).get('box AP')
        if result.get('Dataset') == 'COCO' and value is not None:
            return value / 100
    return None
