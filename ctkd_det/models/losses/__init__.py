from .base import LogitLoss
from .kd_loss import KDLoss

__all__ = ['KDLoss', 'LogitLoss']
