from .distill_loss import DistillLoss
from .logits import BinaryKDLoss, DISTLoss, DKDLoss, KDLoss, LogitLoss
from .window import Window

__all__ = ['BinaryKDLoss', 'DISTLoss', 'DKDLoss', 'DistillLoss', 'KDLoss', 'LogitLoss', 'Window']
