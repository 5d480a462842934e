"""Makes mmengine load every checkpoint with the restricted reader of this package.

Since 2.6 ``torch.load`` unpickles tensors and plain containers only. It
refuses mmengine's own checkpoints, because they contain ``HistoryBuffer``
objects (curves of the log) and numpy values. This module allows stand-ins under
these names. Everything else, above all code, is still refused. Before 2.6
:mod:`.unpickling` takes the place of torch's unpickler.
"""
from typing import Any, BinaryIO, Optional, Union

import mmengine.runner.checkpoint
import torch
from mmengine.runner import CheckpointLoader

from .contents import cleaned
from .downloads import fetch
from .reading import TORCH_RESTRICTS, explained, read_checkpoint, torch_options
from .stand_ins import allow_stand_ins

_mmengines_loader = CheckpointLoader.load_checkpoint.__func__


def allow_mmengine_checkpoints() -> None:
    """Replace mmengine's loading functions by restricted ones.

    ``load_from``, resume, pretrained backbones, inference and every URL use
    mmengine's CheckpointLoader.
    """
    if TORCH_RESTRICTS:
        allow_stand_ins()
    mmengine.runner.checkpoint.load_url = load_url
    if hasattr(mmengine.runner.checkpoint, '_safe_torch_load'):
        # the fork onedl-mmengine loads a refused file a second time, without any restriction
        mmengine.runner.checkpoint._safe_torch_load = load_restricted
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.load_checkpoint = classmethod(_load_checkpoint)


def load_from_local(filename: str, map_location: Any) -> dict:
    """Load a path; mmengine's log shows the last word of this function's name."""
    return read_checkpoint(filename, map_location)


def load_restricted(file: Union[str, BinaryIO], map_location: Any = None,
                    weights_only: Optional[bool] = None) -> dict:
    """Load for the fork a file of a remote store such as ``s3://``, open or by its path."""
    if isinstance(file, str):
        return read_checkpoint(file, map_location)
    return torch.load(file, map_location=map_location, **torch_options())


def load_url(url: str, model_dir: Optional[str] = None, map_location: Any = None,
             progress: bool = True) -> dict:
    """Load a URL, also one that mmengine's own schemes lead to."""
    return read_checkpoint(fetch(url, model_dir, progress), map_location)


def _load_checkpoint(cls, filename: str, map_location: Any = None,
                     logger: Any = 'current') -> dict:
    """``CheckpointLoader.load_checkpoint``, which also cleans what other loaders return."""
    with explained(filename):
        return cleaned(_mmengines_loader(cls, filename, map_location, logger))
