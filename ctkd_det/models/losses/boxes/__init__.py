from .box_kd_loss import BoxKDLoss

__all__ = ['BoxKDLoss']
