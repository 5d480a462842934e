"""Static quantisation by ONNX Runtime's own tools."""
import contextlib
import logging
import tempfile
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


def quantised(content: bytes, images: Images, detector: DeployedDetector) -> bytes:
    """Weights and activations of 8 bits, weights scaled by channel.

    Args:
        content (bytes): The ONNX file in float32.
        images (Images): Training images, from which the ranges of the
            activations are taken.
        detector (DeployedDetector): What the file was made of.

    Returns:
        bytes: Another file's content.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():  # ONNX Runtime writes files alone
        source, target = Path(folder, 'float32.onnx'), Path(folder, 'int8.onnx')
        source.write_bytes(content)
        quantize_static(source, target, _Reader(images, detector), per_channel=True,
                        quant_format=QuantFormat.QDQ, op_types_to_quantize=_QUANTISED,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
        return target.read_bytes()


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
