"""How images get the size in which an exported file takes them, and the words for it."""
from typing import Any, Dict, List, Optional, Tuple

from mmdet.datasets.transforms import Resize
from mmengine.config import Config
from mmengine.utils import to_2tuple

from ctkd_det.configs import transforms_of, type_name

# what --shape pads with, as RTMDet and YOLOX do
GREY = (114, 114, 114)
# they leave the pixels as they are
_NEUTRAL = ('LoadImageFromFile', 'LoadAnnotations', 'LoadPanopticAnnotations',
            'LoadEmptyAnnotations', 'FilterAnnotations', 'PackDetInputs')


def pipeline_for(cfg: Config, shape: Optional[Tuple[int, int]]) -> List[Any]:
    """The transforms of the images that a file is compared on; none if the config has none.

    Args:
        cfg (Config): With a validation or test set.
        shape (tuple, optional): Height and width to fit the images into.
            Defaults to None, what the test pipeline makes of them.
    """
    if shape:
        return _fitting(*shape)
    return transforms_of(cfg.get('val_dataloader')) or transforms_of(cfg.get('test_dataloader'))


def _fitting(height: int, width: int) -> List[Any]:
    """Transforms whose images all have this size."""

    def fit(results: dict) -> dict:
        # not Resize(scale=...): it turns the box with the image
        rows, columns = results['img'].shape[:2]
        return Resize(scale_factor=min(width / columns, height / rows))(results)

    return [dict(type='LoadImageFromFile'), fit,
            dict(type='Pad', size=(width, height), pad_val=dict(img=GREY)),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                                                  'scale_factor'))]


def described(cfg: Config, shape: Optional[Tuple[int, int]]) -> Optional[Dict[str, Any]]:
    """What :func:`pipeline_for` does to images, in words for those who feed an exported file.

    Returns:
        dict: Empty if images stay as they are. ``scale``, width and height in
        pixels, or ``scale_factor``, one for each; with ``keep_ratio`` this is a
        box that the image is fitted into, and ``turn`` says whether its long
        side is that of the image. Then ``pad``, width and height or
        ``'square'``, and ``size_divisor``, of both sides; ``pad_val`` is the
        colour in RGB. None if the transforms do anything else.
    """
    if shape:
        size = [shape[1], shape[0]]
        return dict(scale=size, keep_ratio=True, turn=False, pad=size, pad_val=list(GREY))
    facts: Dict[str, Any] = {}
    for step in pipeline_for(cfg, None):
        kind = type_name(step)
        if kind in _NEUTRAL and step.get('color_type', 'color') == 'color':
            continue
        # in this order, and each once
        if kind == 'Resize' and not facts:
            new = _resized(step)
        elif kind == 'Pad' and 'pad_val' not in facts:
            new = _padded(step)
        else:
            return None
        if new is None:
            return None
        facts.update(new)
    return facts


def _resized(step: dict) -> Optional[Dict[str, Any]]:
    if step.get('interpolation', 'bilinear') != 'bilinear' or step.get('backend', 'cv2') != 'cv2':
        return None
    key = 'scale' if step.get('scale') else 'scale_factor'
    keep_ratio = bool(step.get('keep_ratio'))
    return dict({key: list(to_2tuple(step[key]))}, keep_ratio=keep_ratio,
                **dict(turn=True) if keep_ratio else {})


def _padded(step: dict) -> Optional[Dict[str, Any]]:
    colour = step.get('pad_val', 0)
    if isinstance(colour, dict):
        colour = colour.get('img', 0)
    if isinstance(colour, int):
        colour = (colour, ) * 3
    # OpenCV gives a float to the first channel alone
    if not isinstance(colour, (tuple, list)) or step.get('padding_mode', 'constant') != 'constant':
        return None
    facts: Dict[str, Any] = dict(pad_val=[round(value) for value in reversed(colour)])  # was BGR
    if step.get('pad_to_square'):
        facts['pad'] = 'square'
    elif step.get('size'):
        facts['pad'] = list(step['size'])
    if step.get('size_divisor'):
        facts['size_divisor'] = step['size_divisor']
    return facts
