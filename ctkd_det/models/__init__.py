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
                           FixedTemperature,
                           GlobalTemperature,
                           GradientReversal,
                           GroupTemperature,
                           InstanceTemperature,
                           ScheduledTemperature,
)

__all__ = [
    'ATLoss', 'BinaryKDLoss', 'CRDLoss', 'CWDLoss', 'DISTLoss', 'DKDLoss', 'FGDLoss',
    'FeatureLoss', 'FitNetLoss', 'FixedTemperature', 'GlobalTemperature', 'GradientReversal',
    'GroupTemperature', 'InstanceTemperature', 'KDLoss', 'KnowledgeDistillationDenseDetector',
    'KnowledgeDistillationTwoStageDetector', 'LogitLoss', 'MGDLoss', 'PKDLoss', 'PKTLoss',
    'ReviewKDLoss', 'SPLoss', 'SRRLLoss', 'ScheduledTemperature', 'VIDLoss'
]
