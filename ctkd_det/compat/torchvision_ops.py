"""A module that replaces ``mmcv._ext``: mmcv's functions, computed by torchvision.

Each function has the name, the arguments and the in-place outputs of mmcv's
compiled operator, because mmcv's Python wrappers call it unchanged. Operators
that torchvision lacks exist, too, because mmcv checks for their names on import.
Calling one raises an error that says what to install. The module imports
nothing of this package, because ``ctkd-det doctor --fix`` copies it.
"""
import functools
import warnings
from typing import Callable, Dict, Tuple

import torch
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor
from torch.nn import functional as F


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes kept, by falling score.

    With ``offset=1`` a box is one pixel wider and higher than x2 - x1. Moving
    its far corner by one pixel has exactly this effect.
    """
    boxes = boxes.float()
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torch.ops.torchvision.nms(boxes, scores.float(), iou_threshold)


# the factor for the score of a box that overlaps the box just taken by ``iou``
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


# Deformable convolutions. Both libraries order the offsets alike: for each group and each point of
# the kernel y, then x. mmcv's ``columns`` and ``ones`` are its kernels' buffers.
def deform_conv_forward(input: Tensor, weight: Tensor, offset: Tensor, output: Tensor,
                        columns: Tensor, ones: Tensor, **geometry: int) -> None:
    """DCN ("Deformable Convolutional Networks", ICCV 2017) into ``output``."""
    output.copy_(_dcn(input, weight, offset, None, None, _dcn_v1(geometry)))


def deform_conv_backward_input(input: Tensor, offset: Tensor, grad_output: Tensor,
                               grad_input: Tensor, grad_offset: Tensor, weight: Tensor,
                               columns: Tensor, **geometry: int) -> None:
    """Gradients of :func:`deform_conv_forward` into ``grad_input`` and ``grad_offset``."""
    grads = _dcn_gradients(grad_output, input, weight, offset, None, None, _dcn_v1(geometry))
    grad_input.copy_(grads[0])
    grad_offset.copy_(grads[2])


def deform_conv_backward_parameters(input: Tensor, offset: Tensor, grad_output: Tensor,
                                    grad_weight: Tensor, columns: Tensor, ones: Tensor,
                                    scale: float = 1.0, **geometry: int) -> None:
    """Adds ``scale`` times the weight's gradient to ``grad_weight``."""
    # the gradient does not depend on the weight itself
    anything = torch.zeros_like(grad_weight)
    grads = _dcn_gradients(grad_output, input, anything, offset, None, None, _dcn_v1(geometry))
    grad_weight.add_(grads[1], alpha=scale)


def modulated_deform_conv_forward(input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor,
                                  offset: Tensor, mask: Tensor, output: Tensor, columns: Tensor,
                                  with_bias: bool, **geometry: int) -> None:
    """DCNv2 ("Deformable ConvNets v2", CVPR 2019) into ``output``."""
    bias = bias if with_bias else None
    offset, mask = _first(offset, output), _first(mask, output)
    output.copy_(_dcn(input, weight, offset, mask, bias, _dcn_v2(geometry)))


def modulated_deform_conv_backward(input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor,
                                   offset: Tensor, mask: Tensor, columns: Tensor,
                                   grad_input: Tensor, grad_weight: Tensor, grad_bias: Tensor,
                                   grad_offset: Tensor, grad_mask: Tensor, grad_output: Tensor,
                                   with_bias: bool, **geometry: int) -> None:
    """Gradients of :func:`modulated_deform_conv_forward` into the tensors of their names."""
    grads = _dcn_gradients(grad_output, input, weight, _first(offset, grad_output),
                           _first(mask, grad_output), bias if with_bias else None,
                           _dcn_v2(geometry))
    for out, grad in zip((grad_input, grad_weight, grad_offset, grad_mask), grads, strict=False):
        # what was not read has no gradient, see _first
        unread = out.flatten(1).size(1) - grad.flatten(1).size(1)
        out.copy_(F.pad(grad.flatten(1), (0, unread)).view_as(out) if unread else grad)
    if with_bias:
        grad_bias.copy_(grads[4])


def _first(x: Tensor, output: Tensor) -> Tensor:
    """Of offsets or masks (B, C, H, W) what mmcv's kernel reads for such an output.

    DyHead gives those of a finer map. mmcv's kernel, modulated_deformable_im2col in
    mmcv/ops/csrc, compares no sizes. It finds channel c, row y and column x of an image
    at (c * height + y) * width + x behind the image's first number, with height and
    width of the output. So it reads the first C * height * width numbers, whatever
    places these were computed for; its gradients go the same way. (The kernel of DCN
    has no need of this: mmcv refuses other sizes there.)
    """
    size = output.shape[2:]
    if x.shape[2:] == size or x.shape[2:].numel() < size.numel():
        return x  # if too small, torchvision says so; mmcv would read on behind it
    return x.flatten(1)[:, :x.size(1) * size.numel()].reshape(*x.shape[:2], *size)


def _dcn_v1(g: Dict[str, int]) -> Tuple[int, ...]:
    return (g['dH'], g['dW'], g['padH'], g['padW'], g['dilationH'], g['dilationW'], g['group'],
            g['deformable_group'])


def _dcn_v2(g: Dict[str, int]) -> Tuple[int, ...]:
    return (g['stride_h'], g['stride_w'], g['pad_h'], g['pad_w'], g['dilation_h'],
            g['dilation_w'], g['group'], g['deformable_group'])


def _dcn(input: Tensor, weight: Tensor, offset: Tensor, mask, bias,
         g: Tuple[int, ...]) -> Tensor:
    tensors = _with_kernels(input, weight, offset, mask, bias)
    return torch.ops.torchvision.deform_conv2d(*tensors, *g, mask is not None)


def _dcn_gradients(grad: Tensor, input: Tensor, weight: Tensor, offset: Tensor, mask, bias,
                   g: Tuple[int, ...]) -> Tuple[Tensor, ...]:
    """Gradients of input, weight, offset, mask and bias."""
    tensors = _with_kernels(input, weight, offset, mask, bias)
    return torch.ops.torchvision._deform_conv2d_backward(
        grad.to(tensors[0].dtype), *tensors, *g, mask is not None)


def _with_kernels(input: Tensor, weight: Tensor, offset: Tensor, mask, bias) -> Tuple[Tensor, ...]:
    """With tensors in place of a mask and bias that are not there, in a type that has kernels."""
    # torchvision would read memory at an offset that is no number: it lies outside of the image
    offset = offset.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
    mask = input.new_zeros((len(input), 1)) if mask is None else mask
    bias = input.new_zeros(len(weight)) if bias is None else bias
    tensors = (input, weight, offset, mask, bias)
    # torchvision has no bfloat16 kernels, and on the CPU none for float16
    wide = input.dtype == torch.bfloat16 or (
        input.dtype == torch.float16 and input.device.type == 'cpu')
    return tuple(x.float() for x in tensors) if wide else tensors


def ms_deform_attn_forward(value: Tensor, spatial_shapes: Tensor, level_start: Tensor,
                           locations: Tensor, weights: Tensor, im2col_step: int) -> Tensor:
    """Multi-scale deformable attention of Deformable DETR, by mmcv's own PyTorch function."""
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch
    _say_once('multi-scale deformable attention')
    return multi_scale_deformable_attn_pytorch(value, spatial_shapes, locations, weights)


def ms_deform_attn_backward(value: Tensor, spatial_shapes: Tensor, level_start: Tensor,
                            locations: Tensor, weights: Tensor, grad: Tensor, grad_value: Tensor,
                            grad_locations: Tensor, grad_weights: Tensor, im2col_step: int) -> None:
    """Its gradients, written to ``grad_value``, ``grad_locations`` and ``grad_weights``."""
    inputs = [x.detach().requires_grad_() for x in (value, locations, weights)]
    with torch.enable_grad():
        output = ms_deform_attn_forward(inputs[0], spatial_shapes, level_start, *inputs[1:],
                                        im2col_step)
    for out, found in zip((grad_value, grad_locations, grad_weights),
                          torch.autograd.grad(output, inputs, grad), strict=True):
        out.copy_(found)


@functools.cache
def _say_once(what: str) -> None:
    warnings.warn(f'mmcv-lite has no compiled {what}: it runs on the GPU by PyTorch\'s operators, '
                  'slower and with more memory than in full mmcv', stacklevel=2)


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
