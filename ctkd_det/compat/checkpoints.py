"""Brings everything that mmengine loads to the one restricted way of reading.

Since 2.6 ``torch.load`` unpickles tensors and plain containers only, and
refuses mmengine's own checkpoints because of the ``HistoryBuffer`` objects
(curves of the log) and numpy values in them. Stand-ins are allowed under these
names; everything else, code above all, stays refused.
"""
from typing import Any, BinaryIO, Optional, Union

import mmengine.runner.checkpoint
import torch
from mmengine.runner import CheckpointLoader

from .contents import cleaned
from .downloads import fetch
from .reading import RESTRICTED, TORCH_OPTIONS, explained, read_checkpoint
from .stand_ins import allow_stand_ins, restricted_getattr

__all__ = ['allow_mmengine_checkpoints', 'read_checkpoint', 'restricted_getattr']


_mmengines_loader = CheckpointLoader.load_checkpoint.__func__


def allow_mmengine_checkpoints() -> None:
    """Load what an honest mmengine checkpoint contains, wherever mmengine loads one.

    ``load_from``, resume, pretrained backbones, inference and every URL pass
    mmengine's CheckpointLoader. Before torch 2.6 loading is not restricted.
    """
    if RESTRICTED:
        allow_stand_ins()
    mmengine.runner.checkpoint.load_url = load_url
    if hasattr(mmengine.runner.checkpoint, '_safe_torch_load'):
        # the fork onedl-mmengine loads what is refused once more, without any restriction
        mmengine.runner.checkpoint._safe_torch_load = load_restricted
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.load_checkpoint = classmethod(_load_checkpoint)


def load_from_local(filename: str, map_location: Any) -> dict:
    """What mmengine does with a path; the log calls it by the end of its name."""
    return read_checkpoint(filename, map_location)


def load_restricted(file: Union[str, BinaryIO], map_location: Any = None,
                    weights_only: Optional[bool] = None) -> dict:
    """What the fork does with a file of ``s3://`` and its like, open or by its path."""
    if isinstance(file, str):
        return read_checkpoint(file, map_location)
    return torch.load(file, map_location=map_location, **TORCH_OPTIONS)


def load_url(url: str, model_dir: Optional[str] = None, map_location: Any = None,
             progress: bool = True) -> dict:
    """What mmengine does with a URL, those behind its own schemes among them."""
    return read_checkpoint(fetch(url, model_dir, progress), map_location)


def _load_checkpoint(cls, filename: str, map_location: Any = None,
                     logger: Any = 'current') -> dict:
    """``CheckpointLoader.load_checkpoint``; a loader that others register is cleaned after."""
    with explained(filename):
        return cleaned(_mmengines_loader(cls, filename, map_location, logger))
