from .base import LogitLoss
from .binary_kd_loss import BinaryKDLoss
from .dist_loss import DISTLoss
from .dkd_loss import DKDLoss
from .kd_loss import KDLoss
from .ld_loss import LDLoss
from .mask_kd_loss import MaskKDLoss
from .quality_focal_kd_loss import QualityFocalKDLoss

__all__ = [
    'BinaryKDLoss', 'DISTLoss', 'DKDLoss', 'KDLoss', 'LDLoss', 'LogitLoss', 'MaskKDLoss',
    'QualityFocalKDLoss'
]
