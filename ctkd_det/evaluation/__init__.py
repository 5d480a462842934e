"""Metrics for mmdet's evaluators."""
from .faster_coco_metric import FasterCocoMetric

__all__ = ['FasterCocoMetric']
