from .choice import DISTILLED, distilled_class
from .kd_dense import KnowledgeDistillationDenseDetector
from .kd_detr import (
    KnowledgeDistillationConditionalDETR,
    KnowledgeDistillationDABDETR,
    KnowledgeDistillationDeformableDETR,
    KnowledgeDistillationDINO,
)
from .kd_two_stage import KnowledgeDistillationTwoStageDetector

__all__ = [
    'DISTILLED', 'KnowledgeDistillationConditionalDETR', 'KnowledgeDistillationDABDETR',
    'KnowledgeDistillationDINO', 'KnowledgeDistillationDeformableDETR',
    'KnowledgeDistillationDenseDetector', 'KnowledgeDistillationTwoStageDetector', 'distilled_class'
]
