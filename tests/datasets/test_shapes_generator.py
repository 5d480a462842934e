"""The generator: determinism, honest boxes, valid COCO files."""
import hashlib
import subprocess
import sys

import numpy as np
import pytest
from pycocotools.coco import COCO

import forked
from ctkd_det.datasets.shapes_generator import SHAPES, ShapesConfig, draw, generate
from helpers import ROOT


def test_pixels_are_pinned():
    """Drawn by numpy 2.4 on x86-64; another hash means another data set."""
    image, objects = draw(ShapesConfig(1, seed=0), 0)
    assert image.shape == (96, 96, 3) and image.dtype == np.uint8
    assert [o['label'] for o in objects] == [1, 4, 3, 6]
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == 'b6113b6033f11286'


def test_image_i_does_not_depend_on_the_number_of_images():
    few, many = ShapesConfig(2, seed=3), ShapesConfig(2000, seed=3)
    assert np.array_equal(draw(few, 1)[0], draw(many, 1)[0])
    assert not np.array_equal(draw(few, 0)[0], draw(few, 1)[0])
    assert not np.array_equal(draw(few, 0)[0], draw(ShapesConfig(2, seed=4), 0)[0])


@pytest.mark.parametrize('name, area', [
    # areas of the shapes in the unit circle, in closed form
    ('triangle', 3 * np.sqrt(3) / 4), ('square', 2.0),
    ('pentagon', 2.5 * np.sin(2 * np.pi / 5)), ('hexagon', 3 * np.sqrt(3) / 2),
    ('circle', np.pi), ('ring', np.pi * (1 - .55**2)),
    ('star', 5 * .45 * np.sin(np.pi / 5)), ('cross', 4 * (2 * .94 * .33 - .33**2))])
def test_shapes_have_their_areas(name, area):
    y, x = np.mgrid[-1:1:1001j, -1:1:1001j]
    # 1001^2 samples of a 2 x 2 square; the outline is a few hundredths of a percent
    assert SHAPES[name](x, y).mean() * 4 == pytest.approx(area, rel=5e-3)


def test_boxes_enclose_what_stays_visible():
    """Without clutter, noise aside, a lone object is all that differs from the background."""
    config = ShapesConfig(60, clutter=0, max_objects=1, seed=1)
    for i in range(config.num_images):
        image, objects = draw(config, i)
        for obj in objects:
            x, y, w, h = obj['bbox']
            assert x >= 0 and y >= 0 and x + w <= 96 and y + h <= 96
            assert 16 <= obj['area'] <= w * h


def test_occlusion_is_limited():
    config = ShapesConfig(80, max_objects=8, occlusion=0.0, seed=5)
    for i in range(config.num_images):
        assert all(o['area'] >= 16 for o in draw(config, i)[1])


def test_an_object_that_is_hidden_altogether_is_no_object():
    config = ShapesConfig(100, max_objects=10, occlusion=1.0, seed=1)
    assert all(o['area'] > 0 for i in range(100) for o in draw(config, i)[1])


def test_all_classes_occur_about_equally():
    config = ShapesConfig(300, clutter=0, seed=2)
    labels = [o['label'] for i in range(300) for o in draw(config, i)[1]]
    counts = np.bincount(labels, minlength=8)
    # binomial: about 95 +- 9 of each; five sigma
    assert len(counts) == 8 and abs(counts - counts.mean()).max() < 5 * np.sqrt(counts.mean())


@pytest.mark.parametrize('bad', [
    dict(num_classes=1), dict(num_classes=99), dict(num_images=0), dict(size=8),
    dict(occlusion=1.5), dict(clutter=-1)])
def test_bad_configurations(bad):
    with pytest.raises(ValueError):
        ShapesConfig(**{**dict(num_images=1), **bad})


def test_command_line_writes_what_pycocotools_reads(tmp_path):
    command = [str(ROOT / 'tools/dataset_converters/make_shapes_coco.py'), str(tmp_path),
               '--train', '5', '--val', '3', '--size', '64', '--classes', '6']
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    assert forked.run(*command).returncode == 0  # the second time everything is there
    coco = COCO(tmp_path / 'train.json')
    assert len(coco.imgs) == 5 and len(coco.cats) == 6 and len(list(tmp_path.glob('train/*'))) == 5
    assert {a['image_id'] for a in coco.anns.values()} <= set(coco.imgs)
    first = (tmp_path / 'train' / '000000.png').read_bytes()
    assert first != (tmp_path / 'val' / '000000.png').read_bytes()


def test_an_interrupted_set_is_made_again(tmp_path):
    config = ShapesConfig(2, size=64)
    ann_file = generate(tmp_path, 'train', config)
    ann_file.unlink()
    (tmp_path / 'train' / '000001.png').write_bytes(b'')
    generate(tmp_path, 'train', config)
    assert (tmp_path / 'train' / '000001.png').stat().st_size > 1000
    generate(tmp_path, 'train', ShapesConfig(3, size=64))
    assert (tmp_path / 'train' / '000002.png').exists()
