"""Multi-scale deformable attention where mmcv has no compiled one."""
import sys

import pytest
import torch

import ctkd_det  # noqa: F401  (puts the stand-in in place)
from ctkd_det.compat import torchvision_ops

lite = pytest.mark.skipif(sys.modules.get('mmcv._ext') is not torchvision_ops,
                          reason='full mmcv has its own operator')


@lite
def test_the_call_that_a_gpu_makes_equals_mmcvs_pytorch_function():
    """mmcv calls the operator for tensors on a GPU only; it does not ask where they are."""
    from mmcv.ops.multi_scale_deform_attn import (
        MultiScaleDeformableAttnFunction,
        multi_scale_deformable_attn_pytorch,
    )
    torch.manual_seed(0)
    shapes = torch.tensor([[4, 4], [2, 3]])
    start = torch.tensor([0, 16])

    def inputs():
        torch.manual_seed(1)
        return [x.requires_grad_() for x in (
            torch.randn(2, 22, 2, 4), torch.rand(2, 5, 2, 2, 3, 2), torch.rand(2, 5, 2, 2, 3))]

    ours, theirs = inputs(), inputs()
    with pytest.warns(UserWarning, match='mmcv-lite has no compiled multi-scale'):
        found = MultiScaleDeformableAttnFunction.apply(
            ours[0], shapes, start, ours[1], ours[2], 64)
    expected = multi_scale_deformable_attn_pytorch(theirs[0], shapes, theirs[1], theirs[2])
    assert torch.equal(found, expected)
    weight = torch.randn(found.shape)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    assert all(a.grad.abs().sum() > 0 and torch.allclose(a.grad, b.grad)
               for a, b in zip(ours, theirs, strict=True))
