"""Static quantisation by ONNX Runtime's own tools."""
import contextlib
import logging
from pathlib import Path
from typing import Dict, Iterator, Optional

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from ctkd_det.deploy import DeployedDetector
from .onnx_data import Images, as_given

# what holds the weights; coordinates of boxes stay in float32
_QUANTISED = ['Conv', 'Gemm', 'MatMul']


class _Reader(CalibrationDataReader):
    """Hands images to ONNX Runtime one by one."""

    def __init__(self, images: Images, detector: DeployedDetector) -> None:
        self._images: Iterator = iter(images)
        self._detector = detector

    def get_next(self) -> Optional[Dict[str, np.ndarray]]:
        """The next image; None after the last."""
        image, _ = next(self._images, (None, None))
        if image is None:
            return None
        return dict(images=as_given(image, self._detector))


def quantise(source: Path, target: Path, images: Images, detector: DeployedDetector) -> None:
    """Write a file with weights and activations of 8 bits, weights scaled by channel.

    Args:
        source (Path): The ONNX file in float32.
        target (Path): File to write.
        images (Images): Training images, from which the ranges of the
            activations are taken.
        detector (DeployedDetector): What ``source`` was made of.
    """
    with _quiet():
        quantize_static(source, target, _Reader(images, detector), per_channel=True,
                        quant_format=QuantFormat.QDQ, op_types_to_quantize=_QUANTISED,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice to preprocess: what it would fuse, torch's exporter has fused."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
