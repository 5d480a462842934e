"""A training step as a file: batch, weights and random states, of plain values alone."""
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import BaseBoxes, HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from .compat.reading import read_checkpoint
from .models.not_finite import NotFinite, not_finite_on_the_way
from .models.temperatures import ScheduledTemperature
from .random_states import restore

_ELEMENTS = {cls.__name__: cls for cls in (DetDataSample, InstanceData, PixelData)}
_KIND = '__kind__'


def to_plain(value: Any) -> Any:
    """A batch as numbers, texts, tensors, lists, tuples and dicts.

    What restricted loading would refuse, such as a picture of PIL among the
    metainfo, becomes its description.
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
    """What :func:`to_plain` was given."""
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


def save_step(path: Path, model: torch.nn.Module, data_batch: Any, **values: Any) -> None:
    """Write a step to a file that :func:`torch.load` reads restricted.

    Args:
        path (Path): The file.
        model (nn.Module): The detector, whose weights are written.
        data_batch: As the loader gave it.
        **values: Plain values that say what step it was.
    """
    weights = {key: value.detach().cpu() for key, value in model.state_dict().items()}
    scheduled = {name: module.progress for name, module in model.named_modules()
                 if isinstance(module, ScheduledTemperature)}
    torch.save(dict(values, state_dict=weights, data_batch=to_plain(data_batch),
                    scheduled=scheduled), path)


class Replay(NamedTuple):
    """A step that was run again.

    Attributes:
        step: What the file says of it.
        losses: What they are now.
        found: What is not finite, the first of it first.
    """
    step: Dict[str, Any]
    losses: Dict[str, float]
    found: List[NotFinite]


def replay(path: Path, config: Optional[Path] = None, device: str = 'cpu') -> Replay:
    """Run a step again that :func:`save_step` wrote.

    Args:
        path (Path): The file.
        config (Path, optional): The training's config, which is a program and
            is run. Defaults to None, the one that lies beside the file.
        device (str): Where to run it. Defaults to 'cpu'.

    Raises:
        CheckpointError: if the file cannot be read.
        FileNotFoundError: if there is no config.
        ValueError: if it is no such file, or not of this config.
    """
    step = read_checkpoint(path)
    if not {'data_batch', 'state_dict', 'random_states', 'config'} <= step.keys():
        raise ValueError(f'{path} is no step that a training has written: those are named '
                         'not_finite_iter_N.pth')
    config = config or path.parent / Path(step['config']).name
    if not config.is_file():
        raise FileNotFoundError(f'there is no config {config}; name that of the training with '
                                '--config')
    cfg = Config.fromfile(config)
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model).to(device).train()
    try:
        model.load_state_dict(step['state_dict'])
    except RuntimeError as error:
        raise ValueError(f'{path} is not of the detector of {config}: {error}') from None
    hub = MessageHub.get_current_instance()
    hub.update_info_dict(dict(loop_stage='train', iter=step['iteration'], epoch=step['epoch'],
                              max_epochs=step['max_epochs']))
    for name, progress in step['scheduled'].items():
        model.get_submodule(name).progress = progress
    restore(step['random_states'])
    losses: Dict[str, float] = {}

    def run() -> None:
        with _precision(cfg, device):
            data = model.data_preprocessor(from_plain(step['data_batch']), True)
            output = model._run_forward(data, mode='loss')
        losses.update({name: float(value) for name, value in model.parse_losses(output)[1].items()
                       if 'loss' in name})

    found = not_finite_on_the_way(model, run)
    hub.pop_info('loop_stage')
    return Replay(step, losses, found)


def _precision(cfg: Config, device: str) -> torch.autocast:
    wrapper = cfg.get('optim_wrapper') or {}
    dtype = torch.bfloat16 if wrapper.get('dtype') == 'bfloat16' else torch.float16
    return torch.autocast(torch.device(device).type, dtype,
                          enabled=wrapper.get('type') == 'AmpOptimWrapper')
