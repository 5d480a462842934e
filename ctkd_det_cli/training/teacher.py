"""The teacher's metric, from its checkpoint or from the model zoo."""
from pathlib import Path
from typing import Any, Optional

from ctkd_det.compat.reading import read_checkpoint
from ctkd_det.datasets.evaluators import judges_of
from ctkd_det.work_dir import WorkDir, WorkDirError
from ctkd_det_data.folder import hold_the_same
from ..distill.zoo import zoo_entry
from ..places import shipped


def teachers_metric(cfg: Any, key: str) -> Optional[float]:
    """The teacher's validation, by its work directory, its checkpoint or MMDetection's model zoo.

    Args:
        cfg (Config): Of the distillation.
        key (str): The metric, for example 'coco/bbox_mAP'.

    Returns:
        float, optional: None if it is not known for these data.
    """
    checkpoint, config = cfg.model.get('teacher_ckpt'), cfg.model.get('teacher_config')
    if checkpoint and Path(str(checkpoint)).is_file():
        return _validated(Path(str(checkpoint)), cfg, key)
    annotations = _annotations(cfg)
    on_coco = annotations is not None and annotations.name == 'instances_val2017.json'
    if key == 'coco/bbox_mAP' and on_coco and str(config).startswith('mmdet::'):
        return _published(str(config).removeprefix('mmdet::'))
    return None


def _validated(checkpoint: Path, cfg: Any, key: str) -> Optional[float]:
    """What these weights had on these data.

    A checkpoint is saved before its epoch is validated: its own last value is
    that of older weights, unless it is a best one.
    """
    content, work_dir = read_checkpoint(checkpoint), WorkDir(checkpoint.parent)
    try:
        theirs, ours = (_annotations(config) for config in (work_dir.config(), cfg))
    except WorkDirError:
        return None
    if theirs is None or ours is None or not hold_the_same(theirs, ours):
        return None
    if checkpoint.name.startswith('best_'):
        history = content.get('message_hub', {}).get('log_scalars', {}).get(f'val/{key}')
        return float(history.current()) if history is not None else None
    try:
        steps, values = work_dir.scalars().get(key, ([], []))
    except WorkDirError:
        return None
    meta = content.get('meta', {})
    # the name says whether the training counts epochs
    step = next((meta[unit] for unit in ('epoch', 'iter')
                 if f'{unit}_{meta.get(unit)}' == checkpoint.stem), None)
    return dict(zip(steps, values, strict=True)).get(step)


def _annotations(cfg: Any) -> Optional[Path]:
    """The one file on this machine that validation is judged by; None if it is not one."""
    files = judges_of(cfg, 'val')
    return files[0].absolute() if len(files) == 1 else None


def _published(config: str) -> Optional[float]:
    path = shipped('mmdet', 'configs').resolve() / config
    for result in zoo_entry(path).get('Results', ()):
        value = result.get('Metrics', {}).get('box AP')
        if result.get('Dataset') == 'COCO' and value is not None:
            return value / 100
    return None
