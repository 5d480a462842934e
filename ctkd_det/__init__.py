"""Curriculum Temperature for Knowledge Distillation on MMDetection detectors.

Importing the package first makes the installed torch, mmcv and mmdet work
together (:mod:`ctkd_det.compat`), then registers every model and hook with
MMDetection's registries.
"""
from .compat import apply as _apply_compat
from .version import __version__

_apply_compat()

# they import mmdet, which needs compat; registry makes `_base_ = 'ctkd_det::...'` known
from . import evaluation, hooks, models, registry  # noqa: E402

__all__ = ['__version__', 'evaluation', 'hooks', 'models', 'registry']
