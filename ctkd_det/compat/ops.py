"""Puts the torchvision-backed operators where mmcv looks for compiled ones."""
import importlib.util
import sys


def provide_mmcv_ops() -> None:
    """Serve ``mmcv._ext`` from torchvision if mmcv came without operators.

    ``mmcv-lite`` has no ``mmcv._ext``, and ``import mmdet.models`` needs one.
    With full mmcv installed this does nothing.
    """
    if importlib.util.find_spec('mmcv._ext') is None:
        from . import torchvision_ops
        sys.modules['mmcv._ext'] = torchvision_ops
