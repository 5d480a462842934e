"""Detectors as graphs that run without PyTorch."""
from .detector import DeployedDetector, InputSize, Limits
from .errors import NotDeployable
from .file import OPSETS, to_onnx

__all__ = ['OPSETS', 'DeployedDetector', 'InputSize', 'Limits', 'NotDeployable', 'to_onnx']
