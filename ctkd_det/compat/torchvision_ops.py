"""The module that stands in for ``mmcv._ext``: mmcv's calls, torchvision's code.

Each function has the name, the arguments and the in-place outputs of mmcv's
compiled operator, because mmcv's Python wrappers call it unchanged. Operators
that torchvision lacks exist too, since mmcv checks for their names on import;
calling one raises an error that says what to install.
"""
from typing import Callable

import torch
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor

from .deformable_ops import (  # noqa: F401  (mmcv looks for them in this module)
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    deform_conv_forward,
    modulated_deform_conv_backward,
    modulated_deform_conv_forward,
)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes kept, by falling score.

    With ``offset=1`` a box is one pixel wider and higher than x2 - x1, which
    moving its far corner by one expresses exactly.
    """
    boxes = boxes.float()
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torch.ops.torchvision.nms(boxes, scores.float(), iou_threshold)


# how soft-NMS weighs a box of overlap ``iou`` with the box just taken
_SOFT_NMS_DECAY: 'dict[int, Callable[[Tensor, float, float], Tensor]]' = {
    0: lambda iou, thr, sigma: (iou < thr).to(iou),
    1: lambda iou, thr, sigma: torch.where(iou < thr, torch.ones_like(iou), 1 - iou),
    2: lambda iou, thr, sigma: torch.exp(-iou * iou / sigma),
}


def softnms(boxes: Tensor, scores: Tensor, dets: Tensor, iou_threshold: float,
            sigma: float, min_score: float, method: int, offset: int) -> Tensor:
    """Soft-NMS (ICCV 2017): writes (x1, y1, x2, y2, score) rows to ``dets``.

    ``method``: 0 naive, 1 linear, 2 Gaussian. Returns the indices taken.
    """
    inds = torch.arange(len(boxes))
    boxes, scores = boxes.clone(), scores.clone()
    taken = []
    while len(inds):
        best = scores.argmax()
        dets[len(taken), :4], dets[len(taken), 4] = boxes[best], scores[best]
        taken.append(inds[best])
        iou = _iou(boxes[best], boxes, offset)
        scores = scores * _SOFT_NMS_DECAY[method](iou, iou_threshold, sigma)
        keep = scores >= min_score
        keep[best] = False
        inds, boxes, scores = inds[keep], boxes[keep], scores[keep]
    return torch.stack(taken) if taken else inds


def _iou(box: Tensor, boxes: Tensor, offset: int) -> Tensor:
    top_left = torch.maximum(box[:2], boxes[:, :2])
    bottom_right = torch.minimum(box[2:], boxes[:, 2:])
    inter = (bottom_right - top_left + offset).clamp(min=0).prod(1)
    area = (box[2:] - box[:2] + offset).prod()
    areas = (boxes[:, 2:] - boxes[:, :2] + offset).prod(1)
    return inter / (area + areas - inter)


def roi_align_forward(input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor,
                      argmax_x: Tensor, aligned_height: int, aligned_width: int,
                      spatial_scale: float, sampling_ratio: int, pool_mode: int,
                      aligned: bool) -> None:
    """RoIAlign with average pooling into ``output``."""
    if pool_mode != 1:
        raise NotImplementedError(_missing('roi_align with pool_mode="max"'))
    output.copy_(torch.ops.torchvision.roi_align(
        _supported(input), _supported(rois), spatial_scale, aligned_height,
        aligned_width, sampling_ratio, aligned))


def roi_align_backward(grad_output: Tensor, rois: Tensor, argmax_y: Tensor,
                       argmax_x: Tensor, grad_input: Tensor, aligned_height: int,
                       aligned_width: int, spatial_scale: float, sampling_ratio: int,
                       pool_mode: int, aligned: bool) -> None:
    """Gradient of :func:`roi_align_forward` into ``grad_input``."""
    grad_input.copy_(torch.ops.torchvision._roi_align_backward(
        _supported(grad_output), _supported(rois), spatial_scale, aligned_height,
        aligned_width, *grad_input.shape, sampling_ratio, aligned))


def roi_pool_forward(input: Tensor, rois: Tensor, output: Tensor, argmax: Tensor,
                     pooled_height: int, pooled_width: int, spatial_scale: float) -> None:
    """RoIPool into ``output``, the place of each maximum into ``argmax``."""
    pooled, places = torch.ops.torchvision.roi_pool(
        _supported(input), _supported(rois), spatial_scale, pooled_height, pooled_width)
    output.copy_(pooled)
    argmax.copy_(places)


def roi_pool_backward(grad_output: Tensor, rois: Tensor, argmax: Tensor,
                      grad_input: Tensor, pooled_height: int, pooled_width: int,
                      spatial_scale: float) -> None:
    """Gradient of :func:`roi_pool_forward` into ``grad_input``."""
    grad_input.copy_(torch.ops.torchvision._roi_pool_backward(
        _supported(grad_output), _supported(rois), argmax, spatial_scale,
        pooled_height, pooled_width, *grad_input.shape))


def _supported(x: Tensor) -> Tensor:
    """torchvision has no bfloat16 kernels: those inputs are computed in float32."""
    return x.float() if x.dtype == torch.bfloat16 else x


def get_compiler_version() -> str:
    """What mmcv's environment report prints as the compiler."""
    return f'none (operators of torchvision {torchvision.__version__})'


def get_compiling_cuda_version() -> str:
    """What mmcv's environment report prints as the CUDA version."""
    return str(torch.version.cuda)


def _missing(op: str) -> str:
    return (f'mmcv-lite does not contain the operator {op}, and torchvision has no '
            'equivalent. Install full mmcv: pip uninstall -y mmcv-lite && '
            'pip install "mmcv==2.1.0" (compiles for about half an hour where '
            'no wheel fits your torch).')


def __getattr__(name: str):
    if name.startswith('__'):
        raise AttributeError(name)

    def operator(*args, **kwargs):
        raise NotImplementedError(_missing(name))

    return operator
