from .detectors import KnowledgeDistillationDenseDetector, KnowledgeDistillationTwoStageDetector
from .losses import BinaryKDLoss, DISTLoss, DKDLoss, KDLoss, LogitLoss
from .temperatures import (
                           FixedTemperature,
                           GlobalTemperature,
                           GradientReversal,
                           GroupTemperature,
                           InstanceTemperature,
                           ScheduledTemperature,
)

__all__ = [
    'BinaryKDLoss', 'DISTLoss', 'DKDLoss', 'FixedTemperature', 'GlobalTemperature',
    'GradientReversal', 'GroupTemperature', 'InstanceTemperature', 'KDLoss',
    'KnowledgeDistillationDenseDetector', 'KnowledgeDistillationTwoStageDetector', 'LogitLoss',
    'ScheduledTemperature'
]
