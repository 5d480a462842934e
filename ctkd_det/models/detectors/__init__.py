from .choice import distilled_class
from .kd_dense import KnowledgeDistillationDenseDetector
from .kd_two_stage import KnowledgeDistillationTwoStageDetector

__all__ = [
    'KnowledgeDistillationDenseDetector', 'KnowledgeDistillationTwoStageDetector', 'distilled_class'
]
