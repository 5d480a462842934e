"""Metadata of an exported file, and the program that reads them, give mmdet's images."""
import json
import runpy
import sys

import numpy as np
import pytest
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import Compose
from PIL import Image

from ctkd_det_cli.export.resizing import described, pipeline_for
from helpers import ROOT

onnxruntime = pytest.importorskip('onnxruntime')
PACKED = dict(type='PackDetInputs', meta_keys=('scale_factor', ))
SIZES = dict(landscape=(60, 41), portrait=(41, 60))


def config(*steps, wrapped=False):
    dataset = dict(type='CocoDataset', pipeline=[dict(type='LoadImageFromFile'), *steps, PACKED])
    if wrapped:
        dataset = dict(type='ConcatDataset', datasets=[dataset])
    return Config(dict(val_dataloader=dict(dataset=dataset)))


def fed(monkeypatch, tmp_path, resize, image):
    """What the program gives to ONNX Runtime: (H, W, 3)."""
    seen = []

    class Session:
        custom_metadata_map = dict(classes='[]', resize=json.dumps(resize))

        def __init__(self, *_, **__): ...

        def get_modelmeta(self):
            return self

        def run(self, _, given):
            seen.append(given['images'][0])
            return np.zeros((1, 0, 4)), np.zeros((1, 0)), np.zeros((1, 0), int)

    monkeypatch.setattr(onnxruntime, 'InferenceSession', Session)
    monkeypatch.setattr(sys, 'argv', ['', 'a.onnx', str(image), str(tmp_path / 'drawn.png')])
    runpy.run_path(str(ROOT / 'demo' / 'infer_onnx.py'))
    return seen[0]


def picture(folder, orientation):
    """Colours that change slowly, so that ways to interpolate them hardly differ."""
    width, height = SIZES.get(orientation, SIZES['landscape'])
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    image = Image.fromarray(np.stack([40 + 3 * x, 220 - 2 * y, 90 + x + y], 2).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6 if orientation == 'turned' else 1
    image.save(folder / 'image.jpg', quality=98, subsampling=0, exif=exif)
    return folder / 'image.jpg'


@pytest.mark.parametrize('orientation', [*SIZES, 'turned'])
@pytest.mark.parametrize('shape, steps', [
    ((64, 96), ()), ((96, 64), ()), ((30, 30), ()),
    (None, ()),
    (None, [dict(type='Resize', scale=(90, 50), keep_ratio=True)]),
    (None, [dict(type='Resize', scale=(90, 50))]),
    (None, [dict(type='Resize', scale=73, keep_ratio=True), dict(type='Pad', size_divisor=32)]),
    (None, [dict(type='Resize', scale_factor=1.5)]),
    (None, [dict(type='Resize', scale_factor=(2.0, 0.7), keep_ratio=True),
            dict(type='Pad', size=(50, 130), pad_val=dict(img=(7, 100, 250)))]),
    (None, [dict(type='Resize', scale=(90, 50), keep_ratio=True),
            dict(type='Pad', pad_to_square=True, pad_val=9)]),
    (None, [dict(type='Pad', pad_to_square=True, size_divisor=16)])])
def test_the_program_does_what_mmdet_does(monkeypatch, tmp_path, shape, steps, orientation):
    register_all_modules()
    cfg = config(*steps, wrapped=bool(steps))
    image = picture(tmp_path, orientation)
    data = Compose(pipeline_for(cfg, shape))(dict(img_path=str(image), img_id=0))
    theirs = data['inputs'].permute(1, 2, 0).flip(-1).numpy()
    ours = fed(monkeypatch, tmp_path, described(cfg, shape), image)
    assert theirs.shape[:2] == (shape or theirs.shape[:2]) and ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).max() <= 6


@pytest.mark.parametrize('steps', [
    [dict(type='FixScaleResize', scale=(90, 50), keep_ratio=True)],
    [dict(type='FixShapeResize', width=64, height=64)],
    [dict(type='Pad', size=(99, 99)), dict(type='Resize', scale=(90, 50))],
    [dict(type='Resize', scale_factor=2.0), dict(type='Resize', scale=(90, 50))],
    [dict(type='Resize', scale=(90, 50), interpolation='nearest')],
    [dict(type='Pad', size=(99, 99), padding_mode='reflect')],
    [dict(type='Pad', size=(99, 99), pad_val=dict(img=114.0))],
    [dict(type='CenterCrop', crop_size=32)]])
def test_what_metadata_cannot_say(monkeypatch, tmp_path, steps):
    assert described(config(*steps), None) is None
    with pytest.raises(SystemExit, match='export it with --shape HEIGHT WIDTH'):
        fed(monkeypatch, tmp_path, None, picture(tmp_path, 'landscape'))


@pytest.mark.parametrize('prefix', ['', 'mmdet.', 'mmdet.datasets.transforms.'])
def test_transforms_are_found_whatever_they_are_called(prefix):
    steps = [dict(type=f'{prefix}Resize', scale=(1333, 800), keep_ratio=True),
             dict(type=f'{prefix}Pad', pad_to_square=True)]
    assert described(config(*steps), None) == dict(
        scale=[1333, 800], keep_ratio=True, turn=True, pad='square', pad_val=[0, 0, 0])
