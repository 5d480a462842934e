from .boxes import BoxKDLoss
from .distill_loss import DistillLoss
from .features import (
    ATLoss,
    CRDLoss,
    CWDLoss,
    FeatureLoss,
    FGDLoss,
    FitNetLoss,
    MGDLoss,
    PKDLoss,
    PKTLoss,
    ReviewKDLoss,
    SPLoss,
    SRRLLoss,
    SSKDLoss,
    VIDLoss,
)
from .logits import (
    BinaryKDLoss,
    DISTLoss,
    DKDLoss,
    KDLoss,
    LDLoss,
    LogitLoss,
    MaskKDLoss,
    QualityFocalKDLoss,
)
from .window import Window

__all__ = [
    'ATLoss', 'BinaryKDLoss', 'BoxKDLoss', 'CRDLoss', 'CWDLoss', 'DISTLoss', 'DKDLoss',
    'DistillLoss', 'FGDLoss', 'FeatureLoss', 'FitNetLoss', 'KDLoss', 'LDLoss', 'LogitLoss',
    'MGDLoss', 'MaskKDLoss', 'PKDLoss', 'PKTLoss', 'QualityFocalKDLoss', 'ReviewKDLoss', 'SPLoss',
    'SRRLLoss', 'SSKDLoss', 'VIDLoss', 'Window'
]
