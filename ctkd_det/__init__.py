"""Curriculum Temperature for Knowledge Distillation on MMDetection detectors.

Importing the package first makes the installed torch, mmcv and mmdet work
together (:mod:`ctkd_det.compat`), then registers every model and hook with
MMDetection's registries.
"""
from mmengine.config.utils import MODULE2PACKAGE

from .compat import apply as _apply_compat
from .version import __version__

_apply_compat()

from . import evaluation, hooks, models  # noqa: E402  (they import mmdet, which needs compat)

# mmengine resolves `_base_ = 'ctkd_det::...'` only for packages on its list
MODULE2PACKAGE['ctkd_det'] = 'ctkd_det'

__all__ = ['__version__', 'evaluation', 'hooks', 'models']
