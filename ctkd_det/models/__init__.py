from .detectors import KnowledgeDistillationDenseDetector, KnowledgeDistillationTwoStageDetector
from .losses import (
                           ATLoss,
                           BinaryKDLoss,
                           CRDLoss,
                           CWDLoss,
                           DISTLoss,
                           DKDLoss,
                           FeatureLoss,
                           FGDLoss,
                           FitNetLoss,
                           KDLoss,
                           LogitLoss,
                           MGDLoss,
                           PKDLoss,
                           PKTLoss,
                           ReviewKDLoss,
                           SPLoss,
                           SRRLLoss,
                           VIDLoss,
)
from .temperatures import (
                           DTKDTemperature,
                           FixedTemperature,
                           GlobalTemperature,
                           GradientReversal,
                           GroupTemperature,
                           InstanceTemperature,
                           MultiLevelTemperature,
                           ScheduledTemperature,
)

__all__ = [
    'ATLoss', 'BinaryKDLoss', 'CRDLoss', 'CWDLoss', 'DISTLoss', 'DKDLoss', 'DTKDTemperature',
    'FGDLoss', 'FeatureLoss', 'FitNetLoss', 'FixedTemperature', 'GlobalTemperature',
    'GradientReversal', 'GroupTemperature', 'InstanceTemperature', 'KDLoss',
    'KnowledgeDistillationDenseDetector', 'KnowledgeDistillationTwoStageDetector', 'LogitLoss',
    'MGDLoss', 'MultiLevelTemperature', 'PKDLoss', 'PKTLoss', 'ReviewKDLoss', 'SPLoss', 'SRRLLoss',
    'ScheduledTemperature', 'VIDLoss'
]
