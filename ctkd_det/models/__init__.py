from .detectors import (
    KnowledgeDistillationConditionalDETR,
    KnowledgeDistillationDABDETR,
    KnowledgeDistillationDeformableDETR,
    KnowledgeDistillationDenseDetector,
    KnowledgeDistillationDINO,
    KnowledgeDistillationTwoStageDetector,
)
from .losses import (
                           ATLoss,
                           BinaryKDLoss,
                           BoxKDLoss,
                           CRDLoss,
                           CWDLoss,
                           DISTLoss,
                           DKDLoss,
                           FeatureLoss,
                           FGDLoss,
                           FitNetLoss,
                           KDLoss,
                           LDLoss,
                           LogitLoss,
                           MGDLoss,
                           PKDLoss,
                           PKTLoss,
                           QualityFocalKDLoss,
                           ReviewKDLoss,
                           SPLoss,
                           SRRLLoss,
                           SSKDLoss,
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
    'ATLoss', 'BinaryKDLoss', 'BoxKDLoss', 'CRDLoss', 'CWDLoss', 'DISTLoss', 'DKDLoss',
    'DTKDTemperature', 'FGDLoss', 'FeatureLoss', 'FitNetLoss', 'FixedTemperature',
    'GlobalTemperature', 'GradientReversal', 'GroupTemperature', 'InstanceTemperature', 'KDLoss',
    'KnowledgeDistillationConditionalDETR', 'KnowledgeDistillationDABDETR',
    'KnowledgeDistillationDINO', 'KnowledgeDistillationDeformableDETR',
    'KnowledgeDistillationDenseDetector', 'KnowledgeDistillationTwoStageDetector', 'LDLoss',
    'LogitLoss', 'MGDLoss', 'MultiLevelTemperature', 'PKDLoss', 'PKTLoss', 'QualityFocalKDLoss',
    'ReviewKDLoss', 'SPLoss', 'SRRLLoss', 'SSKDLoss', 'ScheduledTemperature', 'VIDLoss'
]
