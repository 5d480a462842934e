"""The operators that stand in for mmcv's, against plain loops and closed forms."""
import subprocess
import sys

import numpy as np
import pytest
import torch

from ctkd_det.compat import torchvision_ops as ops

COMPILED = sys.modules['mmcv._ext'] is not ops


def random_boxes(n, seed):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (n, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(2, 40, (n, 2))], 1)
    return boxes, rng.permutation(n) / n + 0.01  # no tied scores


def iou(a, b, offset):
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]) + offset
    inter = max(width, 0) * max(height, 0)
    return inter / (np.prod(a[2:] - a[:2] + offset) + np.prod(b[2:] - b[:2] + offset) - inter)


def to_torch(*arrays):
    return [torch.tensor(x, dtype=torch.float32) for x in arrays]


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('seed', range(5))
def test_nms_against_a_loop(seed, offset):
    boxes, scores = random_boxes(40, seed)
    kept = []
    for i in np.argsort(-scores):
        if all(iou(boxes[i], boxes[j], offset) <= 0.5 for j in kept):
            kept.append(i)
    assert ops.nms(*to_torch(boxes, scores), 0.5, offset).tolist() == kept


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('method', [0, 1, 2])
def test_soft_nms_against_a_loop(method, offset):
    boxes, scores = random_boxes(30, seed=7)
    left, expected = {i: s for i, s in enumerate(scores)}, []
    while left:
        best = max(left, key=left.get)
        expected.append((best, left.pop(best)))
        for i in list(left):
            overlap = iou(boxes[best], boxes[i], offset)
            left[i] *= {0: float(overlap < .3), 1: 1 - overlap if overlap >= .3 else 1.0,
                        2: np.exp(-overlap**2 / .5)}[method]
            if left[i] < 0.05:
                del left[i]
    dets = torch.zeros(30, 5)
    taken = ops.softnms(*to_torch(boxes, scores), dets, 0.3, 0.5, 0.05, method, offset)
    assert taken.tolist() == [i for i, _ in expected]
    np.testing.assert_allclose(dets[:len(taken), 4], [s for _, s in expected], rtol=1e-5)
    np.testing.assert_allclose(dets[:len(taken), :4], boxes[taken], rtol=1e-6)


def test_soft_nms_of_nothing():
    assert ops.softnms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, 5),
                       .3, .5, .05, 1, 0).numel() == 0


@pytest.fixture
def through_mmcv(monkeypatch):
    """mmcv's own layers, on our operators even where compiled ones are installed."""
    import mmcv.ops  # noqa: F401
    for name in ('roi_align', 'roi_pool'):
        monkeypatch.setattr(sys.modules[f'mmcv.ops.{name}'], 'ext_module', ops)
    return forward_backward


def forward_backward(layer, feats, rois):
    out = layer(feats, rois)
    out.square().sum().backward()
    return out


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_roi_align_of_a_plane_is_the_plane(dtype, through_mmcv):
    """Bilinear averages of f(x, y) = 2x + 3y are f at the centres of the bins."""
    from mmcv.ops import RoIAlign
    y, x = torch.meshgrid(torch.arange(16.), torch.arange(16.), indexing='ij')
    feats = (2 * x + 3 * y)[None, None].to(dtype).requires_grad_()
    rois = torch.tensor([[0, 2., 4., 10., 8.]], dtype=dtype)
    out = through_mmcv(RoIAlign(2, 1.0, 2), feats, rois)
    # aligned=True puts pixel centres at .5: bins of 4 x 2, centres (4, 5) ... less .5
    expected = [[2 * (cx - .5) + 3 * (cy - .5) for cx in (4, 8)] for cy in (5, 7)]
    torch.testing.assert_close(out[0, 0], torch.tensor(expected, dtype=dtype))
    assert feats.grad.dtype == dtype and feats.grad.abs().sum() > 0


def test_roi_align_gradient_by_finite_differences(through_mmcv):
    from mmcv.ops import RoIAlign
    feats = torch.randn(1, 2, 8, 8, dtype=torch.float64, requires_grad=True,
                        generator=torch.Generator().manual_seed(0))
    rois = torch.tensor([[0, 1., 1., 6., 7.]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda f: RoIAlign(3, 1.0, 2)(f, rois), feats)


def test_roi_pool_takes_maxima_and_sends_gradients_there(through_mmcv):
    from mmcv.ops import RoIPool
    feats = torch.arange(16.).reshape(1, 1, 4, 4).requires_grad_()
    out = through_mmcv(RoIPool(2), feats, torch.tensor([[0, 0., 0., 3., 3.]]))
    assert out.flatten().tolist() == [5, 7, 13, 15]
    assert feats.grad.flatten().nonzero().flatten().tolist() == [5, 7, 13, 15]


def test_other_operators_say_their_name_and_what_to_install():
    with pytest.raises(NotImplementedError, match='carafe_forward.*Install full mmcv'):
        ops.carafe_forward(1, 2)
    with pytest.raises(NotImplementedError, match='pool_mode="max"'):
        ops.roi_align_forward(*[torch.zeros(1)] * 5, 1, 1, 1.0, 0, pool_mode=0, aligned=True)


def last_line_of(code):
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip().splitlines()[-1]


@pytest.mark.skipif(COMPILED, reason='full mmcv is installed: its own operators serve')
def test_serves_mmcv_lite_and_applying_again_changes_nothing():
    assert last_line_of(
        'import ctkd_det, mmcv._ext as first; ctkd_det.compat.apply(); import mmcv._ext as second;'
        'print(first.__name__, first is second)') == 'ctkd_det.compat.torchvision_ops True'


def test_operators_that_mmcv_brings_are_left_alone(tmp_path):
    (tmp_path / '_ext.py').write_text('def __getattr__(name): return name')
    assert last_line_of(
        f'import mmcv; mmcv.__path__.insert(0, {str(tmp_path)!r});'
        'import ctkd_det, mmcv._ext as e; print(e.__file__)') == str(tmp_path / '_ext.py')
