"""What lets MMDetection 3.3 run on current torch, numpy and ``mmcv-lite``.

Nothing here changes how anything is computed, and nothing is done where the
installed packages already work together.
"""
import warnings

from .checkpoints import allow_mmengine_checkpoints
from .ops import provide_mmcv_ops


def apply() -> None:
    """Apply every adaptation; calling it again changes nothing."""
    # mmengine imports it for every config it reads; requirements/ keep it importable
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
    provide_mmcv_ops()
    allow_mmengine_checkpoints()


__all__ = ['apply']
