from .detectors import KnowledgeDistillationTwoStageDetector
from .losses import KDLoss, LogitLoss
from .temperatures import FixedTemperature, GlobalTemperature, GradientReversal

__all__ = [
    'FixedTemperature', 'GlobalTemperature', 'GradientReversal', 'KDLoss',
    'KnowledgeDistillationTwoStageDetector', 'LogitLoss'
]
