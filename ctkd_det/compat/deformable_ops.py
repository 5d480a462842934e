"""Deformable convolutions (DCN and DCNv2): mmcv's calls, torchvision's code.

Both libraries order the offsets alike: for each group and each point of the
kernel y, then x. mmcv's ``columns`` and ``ones`` are its kernels' buffers.
"""
from typing import Dict, Tuple

import torch
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor

Geometry = Tuple[int, ...]


def deform_conv_forward(input: Tensor, weight: Tensor, offset: Tensor, output: Tensor,
                        columns: Tensor, ones: Tensor, **geometry: int) -> None:
    """DCN ("Deformable Convolutional Networks", ICCV 2017) into ``output``."""
    output.copy_(_forward(input, weight, offset, None, None, _v1(geometry)))


def deform_conv_backward_input(input: Tensor, offset: Tensor, grad_output: Tensor,
                               grad_input: Tensor, grad_offset: Tensor, weight: Tensor,
                               columns: Tensor, **geometry: int) -> None:
    """Gradients of :func:`deform_conv_forward` into ``grad_input`` and ``grad_offset``."""
    grads = _backward(grad_output, input, weight, offset, None, None, _v1(geometry))
    grad_input.copy_(grads[0])
    grad_offset.copy_(grads[2])


def deform_conv_backward_parameters(input: Tensor, offset: Tensor, grad_output: Tensor,
                                    grad_weight: Tensor, columns: Tensor, ones: Tensor,
                                    scale: float = 1.0, **geometry: int) -> None:
    """Adds ``scale`` times the weight's gradient to ``grad_weight``."""
    # which does not depend on the weight
    grads = _backward(grad_output, input, torch.zeros_like(grad_weight), offset, None, None,
                      _v1(geometry))
    grad_weight.add_(grads[1], alpha=scale)


def modulated_deform_conv_forward(input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor,
                                  offset: Tensor, mask: Tensor, output: Tensor, columns: Tensor,
                                  with_bias: bool, **geometry: int) -> None:
    """DCNv2 ("Deformable ConvNets v2", CVPR 2019) into ``output``."""
    output.copy_(_forward(input, weight, offset, mask, bias if with_bias else None, _v2(geometry)))


def modulated_deform_conv_backward(input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor,
                                   offset: Tensor, mask: Tensor, columns: Tensor,
                                   grad_input: Tensor, grad_weight: Tensor, grad_bias: Tensor,
                                   grad_offset: Tensor, grad_mask: Tensor, grad_output: Tensor,
                                   with_bias: bool, **geometry: int) -> None:
    """Gradients of :func:`modulated_deform_conv_forward` into the tensors of their names."""
    grads = _backward(grad_output, input, weight, offset, mask, bias if with_bias else None,
                      _v2(geometry))
    for out, grad in zip((grad_input, grad_weight, grad_offset, grad_mask), grads, strict=False):
        out.copy_(grad)
    if with_bias:
        grad_bias.copy_(grads[4])


def _v1(g: Dict[str, int]) -> Geometry:
    return (g['dH'], g['dW'], g['padH'], g['padW'], g['dilationH'], g['dilationW'], g['group'],
            g['deformable_group'])


def _v2(g: Dict[str, int]) -> Geometry:
    return (g['stride_h'], g['stride_w'], g['pad_h'], g['pad_w'], g['dilation_h'],
            g['dilation_w'], g['group'], g['deformable_group'])


def _forward(input: Tensor, weight: Tensor, offset: Tensor, mask, bias, g: Geometry) -> Tensor:
    tensors = _complete(input, weight, offset, mask, bias)
    return torch.ops.torchvision.deform_conv2d(*tensors, *g, mask is not None)


def _backward(grad: Tensor, input: Tensor, weight: Tensor, offset: Tensor, mask, bias,
              g: Geometry) -> Tuple[Tensor, ...]:
    """Gradients of input, weight, offset, mask and bias."""
    tensors = _complete(input, weight, offset, mask, bias)
    return torch.ops.torchvision._deform_conv2d_backward(
        grad.to(tensors[0].dtype), *tensors, *g, mask is not None)


def _complete(input: Tensor, weight: Tensor, offset: Tensor, mask, bias) -> Tuple[Tensor, ...]:
    """With tensors in place of a mask and bias that are not there, in a type that has kernels."""
    mask = input.new_zeros((len(input), 1)) if mask is None else mask
    bias = input.new_zeros(len(weight)) if bias is None else bias
    tensors = (input, weight, offset, mask, bias)
    # torchvision has no bfloat16 kernels, and on the CPU none for float16
    wide = input.dtype == torch.bfloat16 or (
        input.dtype == torch.float16 and input.device.type == 'cpu')
    return tuple(x.float() for x in tensors) if wide else tensors
