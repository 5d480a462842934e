from .curriculum_hook import CurriculumHook
from .prediction_comparison_hook import PredictionComparisonHook

__all__ = ['CurriculumHook', 'PredictionComparisonHook']
