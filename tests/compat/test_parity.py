"""The stand-in operators against mmcv's compiled ones, where those are installed.

mmcv compiles RoIPool for GPUs only, so it has no counterpart here.
"""
import sys

import pytest
import torch

from ctkd_det.compat import torchvision_ops as ours

theirs = sys.modules['mmcv._ext']
pytestmark = pytest.mark.skipif(theirs is ours, reason='needs full mmcv, compiled')


def random_input(seed, n=200):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(n, 2, generator=generator) * 60
    boxes = torch.cat([corner, corner + 2 + 30 * torch.rand(n, 2, generator=generator)], 1)
    return boxes, torch.randperm(n, generator=generator) / n + 0.01  # no tied scores


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('seed', range(50))
def test_nms(seed, offset):
    boxes, scores = random_input(seed)
    kwargs = dict(iou_threshold=0.5, offset=offset)
    kept = [ops.nms(boxes, scores, **kwargs).tolist() for ops in (ours, theirs)]
    assert kept[0] == kept[1]


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('method', [0, 1, 2])
def test_softnms(method, offset):
    boxes, scores = random_input(method)
    kwargs = dict(iou_threshold=0.3, sigma=0.5, min_score=0.05, method=method, offset=offset)
    results = []
    for ops in (ours, theirs):
        dets = torch.zeros(len(boxes), 5)
        inds = ops.softnms(boxes, scores, dets, **kwargs)
        results.append((inds.tolist(), dets[:len(inds)]))
    assert results[0][0] == results[1][0]
    # products of up to 200 weights in another order of rounding
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-5, atol=1e-6)


def roi_align(ops, feats, rois, **kwargs):
    output, grad, unused = torch.zeros(len(rois), 4, 7, 7), torch.zeros_like(feats), torch.zeros(0)
    ops.roi_align_forward(feats, rois, output, unused, unused, **kwargs)
    ops.roi_align_backward(output.cos(), rois, unused, unused, grad, **kwargs)
    return output, grad


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 1, 2])
def test_roi_align_to_the_last_bit(sampling_ratio, aligned):
    feats = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    rois = torch.cat([torch.zeros(200, 1), random_input(0)[0]], 1)
    kwargs = dict(aligned_height=7, aligned_width=7, spatial_scale=0.5,
                  sampling_ratio=sampling_ratio, pool_mode=1, aligned=aligned)
    results = [roi_align(ops, feats, rois, **kwargs) for ops in (ours, theirs)]
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)
