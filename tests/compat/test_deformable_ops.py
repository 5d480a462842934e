"""Deformable convolutions through mmcv's own modules, by torchvision's operator."""
import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import deform_conv2d

import ctkd_det  # noqa: F401  (lets mmcv.ops be imported)

SHAPES = dict(stride=2, padding=1, dilation=1)


def inputs(groups=1, deform_groups=1, dtype=torch.float64, height=9, width=7):
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()

    return (random(2, 4, height, width), random(2, deform_groups * 18, 5, 4),
            random(2, deform_groups * 9, 5, 4), random(6, 4 // groups, 3, 3), random(6))


def both(ours, reference, tensors):
    """Outputs and gradients of two functions of the same tensors agree to the last bit."""
    results = []
    for function in (ours, reference):
        out = function()
        # once at a point where each output has a weight of its own
        weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
        results.append([out.detach(), *torch.autograd.grad((out * weight).sum(), tensors)])
    for mine, expected in zip(*results, strict=True):
        assert torch.equal(mine, expected) and mine.abs().sum() > 0


@pytest.mark.parametrize('groups, deform_groups', [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_dcn_is_torchvisions(groups, deform_groups):
    from mmcv.ops import deform_conv2d as mmcv_dcn
    x, offset, _, weight, _ = inputs(groups, deform_groups)
    both(lambda: mmcv_dcn(x, offset, weight, 2, 1, 1, groups, deform_groups),
         lambda: deform_conv2d(x, offset, weight, **SHAPES), [x, offset, weight])


@pytest.mark.parametrize('groups, deform_groups', [(1, 1), (2, 2)])
@pytest.mark.parametrize('with_bias', [True, False])
def test_dcn_v2_is_torchvisions(groups, deform_groups, with_bias):
    from mmcv.ops import modulated_deform_conv2d
    x, offset, mask, weight, bias = inputs(groups, deform_groups)
    bias = bias if with_bias else None
    both(lambda: modulated_deform_conv2d(x, offset, mask, weight, bias, 2, 1, 1, groups,
                                         deform_groups),
         lambda: deform_conv2d(x, offset, weight, bias, mask=mask, **SHAPES),
         [t for t in (x, offset, mask, weight, bias) if t is not None])


def test_without_offsets_it_is_a_convolution():
    from mmcv.ops import deform_conv2d as mmcv_dcn
    x, offset, _, weight, _ = inputs()
    torch.testing.assert_close(mmcv_dcn(x, torch.zeros_like(offset), weight, 2, 1),
                               F.conv2d(x, weight, stride=2, padding=1))


def test_offsets_are_y_before_x():
    """One pixel is moved by an offset of the kernel's only point."""
    from mmcv.ops import deform_conv2d as mmcv_dcn
    x = torch.arange(12.).view(1, 1, 3, 4)
    offset = torch.zeros(1, 2, 3, 4)
    offset[:, 0] = 1.0
    assert mmcv_dcn(x, offset, torch.ones(1, 1, 1, 1))[0, 0, 0].tolist() == [4, 5, 6, 7]


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_types_without_a_kernel_are_computed_in_float32(dtype):
    from mmcv.ops import deform_conv2d as mmcv_dcn
    x, offset, _, weight, _ = (t.detach().to(dtype) for t in inputs())
    out = mmcv_dcn(x, offset, weight, 2, 1)
    expected = deform_conv2d(x.float(), offset.float(), weight.float(), **SHAPES)
    assert out.dtype == dtype and torch.equal(out, expected.to(dtype))


@pytest.mark.parametrize('dcn', ['DCN', 'DCNv2'])
def test_a_backbone_with_deformable_convolutions_learns(dcn):
    from mmdet.models.backbones import ResNet
    backbone = ResNet(50, base_channels=4, dcn=dict(type=dcn, deform_groups=1),
                      stage_with_dcn=(False, True, False, False), num_stages=4)
    sum(out.sum() for out in backbone(torch.randn(2, 3, 64, 64))).backward()
    conv = backbone.layer2[0].conv2
    assert conv.weight.grad.isfinite().all() and conv.conv_offset.weight.grad.abs().sum() > 0


def test_an_offset_that_is_no_number_reads_nothing():
    """A network whose weights are not initialised, or a training that diverged: no crash."""
    from mmcv.ops import deform_conv2d as mmcv_dcn
    x, offset, _, weight, _ = inputs()
    broken = torch.full_like(offset, torch.nan).requires_grad_()
    out = mmcv_dcn(x, broken, weight, 2, 1, 1)
    assert torch.equal(out, torch.zeros_like(out))
    out.sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))
