"""Writing the graph as ONNX."""
import io
import warnings
from inspect import signature
from typing import Dict, Optional

import torch

from .detector import DeployedDetector, InputSize

# RoIAlign with half pixels is in ONNX from 16 on; torch's tracing exporter ends at 20
OPSETS = (16, 20)
_DYNAMIC = dict(boxes={0: 'batch', 1: 'detections'}, scores={0: 'batch', 1: 'detections'},
                labels={0: 'batch', 1: 'detections'}, masks={0: 'batch', 1: 'detections'})


def to_onnx(detector: DeployedDetector, size: Optional[InputSize] = None, opset: int = 17,
            metadata: Optional[Dict[str, str]] = None) -> bytes:
    """The graph as the bytes of an ONNX file; the same detector gives the same bytes.

    Args:
        detector (DeployedDetector): What to write.
        size (InputSize, optional): The only size it takes. Defaults to None,
            any.
        opset (int): Version of ONNX's operators, from 16 to 20.
        metadata (dict, optional): Texts by name, kept in the file.

    Raises:
        ValueError: if there is no such opset.
        ImportError: if the package ``onnx`` is not installed.
    """
    import onnx
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise ValueError(f'opset {opset}: it must be from {OPSETS[0]} to {OPSETS[1]}')
    axes = {name: _DYNAMIC[name] for name in detector.outputs}
    axes['images'] = {0: 'batch'}
    if size is None:
        axes['images'].update(zip(detector.axes, ('height', 'width'), strict=True))
    buffer = io.BytesIO()
    # the exporter that traces; versions of torch that have no other do not take the argument
    tracing = {'dynamo': False} if 'dynamo' in signature(torch.onnx.export).parameters else {}
    with torch.no_grad(), warnings.catch_warnings():
        # of what is constant on purpose, and that another exporter is newer
        warnings.simplefilter('ignore')
        torch.onnx.export(detector.eval(), (detector.example(size), ), buffer, **tracing,
                          opset_version=opset, input_names=['images'],
                          output_names=list(detector.outputs), dynamic_axes=axes)
    graph = onnx.load_from_string(buffer.getvalue())
    onnx.helper.set_model_props(graph, dict(sorted((metadata or {}).items())))
    onnx.checker.check_model(graph, full_check=True)
    return graph.SerializeToString(deterministic=True)
