"""Lets MMDetection 3.3 run with current torch and numpy and with ``mmcv-lite``.

No computation changes. If the installed packages work together without this,
nothing is done, except that options keep their spaces.
"""
import warnings

from .checkpoints import allow_mmengine_checkpoints
from .ops import provide_mmcv_ops
from .options import keep_spaces


def apply() -> None:
    """Apply every adaptation; calling it again changes nothing."""
    # mmengine imports pkg_resources for every config; requirements/ pins a version that has it
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
    provide_mmcv_ops()
    allow_mmengine_checkpoints()
    keep_spaces()


__all__ = ['apply']
