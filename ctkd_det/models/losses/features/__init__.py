from .at_loss import ATLoss
from .base import FeatureLoss
from .crd_loss import CRDLoss
from .cwd_loss import CWDLoss
from .fgd_loss import FGDLoss
from .fitnet_loss import FitNetLoss
from .mgd_loss import MGDLoss
from .pkd_loss import PKDLoss
from .relation_losses import PKTLoss, SPLoss
from .reviewkd_loss import ReviewKDLoss
from .srrl_loss import SRRLLoss
from .sskd_loss import SSKDLoss
from .vid_loss import VIDLoss

__all__ = [
    'ATLoss', 'CRDLoss', 'CWDLoss', 'FGDLoss', 'FeatureLoss', 'FitNetLoss', 'MGDLoss', 'PKDLoss',
    'PKTLoss', 'ReviewKDLoss', 'SPLoss', 'SRRLLoss', 'SSKDLoss', 'VIDLoss'
]
