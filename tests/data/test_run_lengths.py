"""Masks as run lengths are good exactly if pycocotools reads what was written."""
import numpy as np
import pytest
from pycocotools import mask as masks

from ctkd_det_data.run_lengths import _decoded, fits


def runs(mask):
    """Lengths of the runs of 0, 1, 0 ... by columns."""
    flat = mask.ravel(order='F')
    edges = np.flatnonzero(np.diff(flat)) + 1
    return [0] * int(flat[0]) + np.diff([0, *edges, flat.size]).tolist()


@pytest.mark.parametrize('share', [0.01, 0.5, 0.99])
@pytest.mark.parametrize('size', [(3, 1), (48, 64), (700, 900)])
def test_text_of_pycocotools(size, share):
    for seed in range(5):
        mask = (np.random.default_rng(seed).random(size) < share).astype(np.uint8)
        mask[:, size[1] // 3:2 * size[1] // 3] = seed % 2  # one long run
        text = masks.encode(np.asfortranarray(mask))['counts'].decode()
        assert _decoded(text) == runs(mask)
        assert fits(dict(size=list(size), counts=text), list(size))


@pytest.mark.parametrize('text', [
    '', '0' * 50, 'garb', 'PP', '\x7f' * 10, 'k\xe9', 'X6P?hZ2P', 'X6P?hZ2 ', '`6000oY'])
def test_text_that_fills_no_image(text):
    assert not fits(dict(size=[48, 64], counts=text), [48, 64])


@pytest.mark.parametrize('size', [[64, 48, 1], [3072], None, [48.5, 64], ['48', '64']])
def test_a_size_that_is_none(size):
    assert not fits(dict(size=size, counts='X6P?hZ2'), None)
    assert fits(dict(size=[48, 64], counts='X6P?hZ2'), None)
