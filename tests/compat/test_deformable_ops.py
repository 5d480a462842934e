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


def by_mmcvs_kernel(x, offset, mask, weight, bias, stride):
    """One output after the other, with memory read as mmcv's kernel reads it."""
    batch, channels, height, width = x.shape
    rows, columns = ((size + 2 - 3) // stride + 1 for size in (height, width))
    groups = offset.size(1) // 18
    out = []
    for b in range(batch):
        offsets, masks = offset[b].flatten(), mask[b].flatten()
        for o in range(len(weight)):
            for row in range(rows):
                for column in range(columns):
                    value = bias[o]
                    for c in range(channels):
                        group = c // (channels // groups)
                        for k in range(9):
                            place = row * columns + column
                            at = (18 * group + 2 * k) * rows * columns + place
                            y = row * stride - 1 + k // 3 + offsets[at]
                            side = column * stride - 1 + k % 3 + offsets[at + rows * columns]
                            m = masks[(9 * group + k) * rows * columns + place]
                            value = value + weight[o, c, k // 3, k % 3] * m * bilinear(
                                x[b, c], y, side)
                    out.append(value)
    return torch.stack(out).view(batch, len(weight), rows, columns)


def bilinear(image, y, x):
    """Its value between four pixels, 0 outside."""
    value = 0
    for i in (int(y.floor()), int(y.floor()) + 1):
        for j in (int(x.floor()), int(x.floor()) + 1):
            if 0 <= i < image.size(0) and 0 <= j < image.size(1):
                value = value + image[i, j] * (1 - (y - i).abs()) * (1 - (x - j).abs())
    return value


@pytest.mark.parametrize('deform_groups', [1, 2])
def test_offsets_of_a_finer_map_are_read_as_mmcvs_kernel_reads_them(deform_groups):
    """DyHead gives those of a level to the next coarser one."""
    from mmcv.ops import modulated_deform_conv2d
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    x, weight, bias = random(2, 2, 3, 2), random(2, 2, 3, 3), random(2)
    # a part of the channels of a larger map, so not contiguous, as DyHead's are
    both_of = random(2, deform_groups * 27, 5, 4)
    offset, mask = both_of[:, :deform_groups * 18], both_of[:, deform_groups * 18:].sigmoid()
    tensors, results = (x, both_of, weight, bias), []
    for function in (lambda: modulated_deform_conv2d(x, offset, mask, weight, bias, 1, 1, 1, 1,
                                                     deform_groups),
                     lambda: by_mmcvs_kernel(x, offset, mask, weight, bias, 1)):
        out = function()
        scale = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
        results.append([out, *torch.autograd.grad((out * scale).sum(), tensors,
                                                  retain_graph=True)])
    for mine, expected in zip(*results, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-12)
    unread = results[0][2][:, :deform_groups * 18].flatten(1)[:, deform_groups * 18 * 6:]
    assert unread.numel() and not unread.any()


def test_offsets_of_a_coarser_map_are_refused():
    """mmcv's kernel would read behind them."""
    from mmcv.ops import modulated_deform_conv2d
    x, offset, mask, weight, bias = inputs()
    with pytest.raises(RuntimeError, match='offset output dims'):
        modulated_deform_conv2d(x, offset, mask, weight, bias, 1, 1)


def test_dyhead_learns():
    from mmdet.models.necks import DyHead
    neck = DyHead(16, 16, num_blocks=1, zero_init_offset=False)
    # channels last, as ChannelsLastHook makes them
    maps = [torch.randn(2, 16, size, size + 1).to(memory_format=torch.channels_last)
            .requires_grad_() for size in (8, 4, 2)]
    sum(out.square().sum() for out in neck(maps)).backward()
    assert all(x.grad.isfinite().all() and x.grad.any() for x in maps)
    assert neck.dyhead_blocks[0].spatial_conv_offset.weight.grad.any()
