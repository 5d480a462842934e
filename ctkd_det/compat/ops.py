"""Provides torchvision's operators as mmcv's compiled module."""
import importlib.util
import sys


def provide_mmcv_ops() -> None:
    """Provide ``mmcv._ext`` with torchvision's operators if mmcv has none.

    ``mmcv-lite`` has no ``mmcv._ext``, and ``import mmdet.models`` needs one.
    With full mmcv installed this does nothing.
    """
    if importlib.util.find_spec('mmcv._ext') is None:
        from . import torchvision_ops
        sys.modules['mmcv._ext'] = torchvision_ops
