"""Converts a batch to values that restricted loading allows, and back."""
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import BaseBoxes, HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.structures import BaseDataElement, InstanceData, PixelData

_ELEMENTS = {cls.__name__: cls for cls in (DetDataSample, InstanceData, PixelData)}
_KIND = '__kind__'


def to_plain(value: Any) -> Any:
    """Convert a batch to numbers, texts, tensors, lists, tuples and dicts.

    An object that restricted loading would refuse, such as a PIL image in the
    metainfo, becomes its ``repr``.
    """
    if isinstance(value, (torch.Tensor, str, int, float, bool, type(None))):
        return value.detach().cpu() if isinstance(value, torch.Tensor) else value
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(to_plain, value)) if type(value) in (list, tuple) else [
            to_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in 'biuf':
        return {_KIND: 'ndarray', 'values': torch.from_numpy(np.ascontiguousarray(value))}
    if isinstance(value, BaseDataElement) and type(value).__name__ in _ELEMENTS:
        return {_KIND: type(value).__name__, 'metainfo': to_plain(dict(value.metainfo_items())),
                'data': to_plain(dict(value.items()))}
    if isinstance(value, BaseBoxes):
        return {_KIND: 'boxes', 'values': value.tensor.detach().cpu()}
    if isinstance(value, BitmapMasks):
        return {_KIND: 'bitmaps', 'values': torch.from_numpy(value.masks.copy()),
                'size': [value.height, value.width]}
    if isinstance(value, PolygonMasks):
        return {_KIND: 'polygons', 'values': to_plain(value.masks),
                'size': [value.height, value.width]}
    return repr(value)


def from_plain(value: Any) -> Any:
    """Convert what :func:`to_plain` has returned back to a batch."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(from_plain, value))
    if not isinstance(value, dict):
        return value
    kind = value.get(_KIND)
    if kind is None:
        return {key: from_plain(item) for key, item in value.items()}
    if kind in _ELEMENTS:
        element = _ELEMENTS[kind](metainfo=from_plain(value['metainfo']))
        for key, item in value['data'].items():
            element.set_field(from_plain(item), key)
        return element
    if kind == 'boxes':
        return HorizontalBoxes(value['values'])
    if kind == 'ndarray':
        return value['values'].numpy()
    masks = value['values'].numpy() if kind == 'bitmaps' else from_plain(value['values'])
    return {'bitmaps': BitmapMasks, 'polygons': PolygonMasks}[kind](masks, *value['size'])
