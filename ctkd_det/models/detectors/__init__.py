from .kd_dense import KnowledgeDistillationDenseDetector
from .kd_two_stage import KnowledgeDistillationTwoStageDetector

__all__ = ['KnowledgeDistillationDenseDetector', 'KnowledgeDistillationTwoStageDetector']
