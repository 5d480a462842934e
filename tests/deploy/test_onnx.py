"""Every family as ONNX, on real images, against mmdet."""
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope
from PIL import Image

import families
from ctkd_det.deploy import DeployedDetector, InputSize, NotDeployable, to_onnx
from helpers import ROOT, TORCH_BEFORE_2_6, student_config

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')
COCO = ROOT.parent / 'shared' / 'data' / 'coco_mini' / 'images'
# width and height: landscape, portrait, smaller than the stride's multiple; none a multiple of 32
SIZES = ((210, 150), (150, 233), (40, 31))
FAMILIES = ('shapes', 'faster', 'mask', 'cascade', 'cascade_mask', 'retinanet', 'fcos', 'atss',
            'gfl', 'rtmdet', 'yolox')


def picture(number, size):
    files = sorted(COCO.glob('*.jpg'))
    if not files:
        pytest.skip('the coco_mini images are not beside this checkout')
    return np.asarray(Image.open(files[number]).convert('RGB').resize(size))


def as_mmdet_takes(*images):
    samples = [DetDataSample(metainfo=dict(img_shape=image.shape[:2], ori_shape=image.shape[:2],
                                           scale_factor=(1.0, 1.0))) for image in images]
    tensors = [torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1) for image in images]
    return dict(inputs=tensors, data_samples=samples)


def detector(family):
    init_default_scope('mmdet')
    cfg = student_config() if family == 'shapes' else families.tiny(family)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    return families.make_lively(model, as_mmdet_takes(picture(5, (320, 256))))


def session(content):
    return onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])


def compare(model, found, images):
    """Assert that the file has found what mmdet finds; returns how many that are."""
    boxes, scores, labels, *masks = found
    with torch.no_grad():
        theirs = model.test_step(as_mmdet_takes(*images))
    for i, sample in enumerate(theirs):
        want = sample.pred_instances[:300]  # YOLOX alone has more
        there = labels[i] >= 0
        assert there.sum() == len(want)
        order = _partners(want, boxes[i], scores[i], labels[i])
        assert (np.diff(scores[i]) <= 0).all()
        assert not scores[i][~there].any() and not boxes[i][~there].any()
        if masks:
            _compare_masks(masks[0][i][order], want)
    return sum(len(sample.pred_instances) for sample in theirs)


def _partners(want, boxes, scores, labels):
    """The same detections in the file's order, which may swap two of equal score."""
    order, free = [], labels >= 0
    for box, score, label in zip(want.bboxes.numpy(), want.scores.numpy(), want.labels.numpy(),
                                 strict=True):
        fit = free & (labels == label) & (np.abs(scores - score) < 1e-4) & (
            np.abs(boxes - box).max(1) < 0.01)
        assert fit.any(), (box, score, label)
        order.append(int(fit.argmax()))
        free[order[-1]] = False
    return order


def _compare_masks(probabilities, want):
    from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
    height, width = want.masks.shape[1:]
    pasted, _ = _do_paste_mask(torch.from_numpy(probabilities)[:, None], want.bboxes, height, width,
                               skip_empty=False)
    assert want.masks.any() or not len(want)
    assert not len(want) or (want.masks != (pasted >= 0.5)).float().mean() < 1e-3


@pytest.mark.parametrize('family', FAMILIES)
def test_family(family):
    model = detector(family)
    ours = session(to_onnx(DeployedDetector(model)))
    # RTMDet pads in its pipeline, and its network takes multiples of 32 alone
    sizes = [tuple(32 * -(-side // 32) for side in size) for size in SIZES] if (
        family == 'rtmdet') else SIZES
    found = 0
    for number, size in enumerate(sizes):
        image = picture(number, size)
        found += compare(model, ours.run(None, dict(images=image[None])), [image])
    assert found > 60
    # two images at once, each as it is alone
    pair = [picture(number, sizes[0]) for number in (3, 4)]
    compare(model, ours.run(None, dict(images=np.stack(pair))), pair)
    if family not in ('shapes', 'gfl'):
        return
    _silence(model)
    silent = session(to_onnx(DeployedDetector(model)))
    out = silent.run(None, dict(images=pair[0][None]))
    assert compare(model, out, pair[:1]) == 0 and (out[2] == -1).all()


def _silence(model):
    """Let nothing reach the score's threshold."""
    config = model.roi_head.test_cfg if hasattr(model, 'roi_head') else model.bbox_head.test_cfg
    config.score_thr = 2.0


@pytest.fixture(scope='module')
def gfl():
    return detector('gfl')


@pytest.mark.skipif(TORCH_BEFORE_2_6, reason='torch 2.1 writes no valid file in opset 18')
def test_bytes_shape_and_preprocessing(gfl):
    plain = DeployedDetector(gfl, preprocess=False)
    size = InputSize(96, 128)
    facts = dict(b='2', a='ü')
    content = to_onnx(plain, size, 18, facts)
    assert content == to_onnx(plain, size, 18, dict(reversed(facts.items())))
    file = onnx.load_from_string(content)
    assert {p.key: p.value for p in file.metadata_props} == facts
    assert file.opset_import[0].version == 18
    dims = [d.dim_param or d.dim_value for d in file.graph.input[0].type.tensor_type.shape.dim]
    assert dims == ['batch', 3, 96, 128]
    image = picture(0, (128, 96))
    given = plain.prepared(torch.tensor(image)[None]).numpy()
    expected = (image[0, 0] - np.array([123.675, 116.28, 103.53])) / [58.395, 57.12, 57.375]
    np.testing.assert_allclose(given[0, :, 0, 0], expected, rtol=1e-5)
    compare(gfl, session(content).run(None, dict(images=given)), [image])


def test_networks_for_bgr(gfl):
    """FCOS's config of mmdet is one of Caffe's, which reads BGR without scaling."""
    assert not detector('fcos').data_preprocessor._channel_conversion
    assert gfl.data_preprocessor._channel_conversion


@pytest.mark.parametrize('family, change, message', [
    # a subclass of one that can be
    ('retinanet', dict(bbox_head=dict(type='FreeAnchorRetinaHead')),
     'bbox_head FreeAnchorRetinaHead cannot be exported'),
    ('gfl', dict(test_cfg=dict(nms=dict(type='soft_nms'))), 'test_cfg.nms=.*soft_nms'),
    ('tood', {}, 'bbox_head TOODHead cannot be exported'),
    ('grid', {}, 'roi_head GridRoIHead cannot be exported'),
    ('libra', dict(test_cfg=dict(rpn=dict(nms_pre=-1))), 'test_cfg.rpn has no nms_pre'),
    ('faster', dict(test_cfg=dict(rcnn=dict(max_per_img=-1))), 'test_cfg.rcnn has no max_per_img'),
    ('faster', dict(test_cfg=dict(rcnn=dict(max_per_img=None))), 'test_cfg.rcnn has no max_per_im'),
    ('retinanet', dict(test_cfg=dict(min_bbox_size=10)), 'test_cfg.min_bbox_size=10 cannot be'),
    ('double_head', {}, 'roi_head DoubleHeadRoIHead cannot be exported'),
])
def test_unsupported(family, change, message):
    cfg = families.tiny(family)
    cfg.model.merge(change)
    init_default_scope('mmdet')
    with pytest.raises(NotDeployable, match=message):
        DeployedDetector(MODELS.build(cfg.model))


@pytest.mark.parametrize('family, change', [
    # an RPN of mmdet measures in pixels of the input, as the graph does
    ('faster', dict(rpn=dict(min_bbox_size=16))), ('retinanet', dict(min_bbox_size=0)),
    # mmdet's YOLOX keeps all, whatever it says
    ('yolox', dict(max_per_img=-1))])
def test_supported(family, change):
    cfg = families.tiny(family)
    cfg.model.test_cfg.merge(change)
    init_default_scope('mmdet')
    found = DeployedDetector(MODELS.build(cfg.model).eval())
    assert found.limits.most == (300 if family == 'yolox' else 100)
    with torch.no_grad():
        assert len(found(found.example(InputSize(64, 64)))[0]) == 2


def test_wrong_opset(gfl):
    with pytest.raises(ValueError, match='opset 11: it must be from 16 to 20'):
        to_onnx(DeployedDetector(gfl), opset=11)


def test_the_docs_show_the_program():
    assert (ROOT / 'demo' / 'infer_onnx.py').read_text() in (
        ROOT / 'docs' / 'deploy.md').read_text()


def test_file_runs_where_only_onnxruntime_numpy_and_pillow_are(tmp_path):
    import json
    model = detector('shapes')
    image = picture(0, SIZES[0])
    (tmp_path / 'a.onnx').write_bytes(to_onnx(DeployedDetector(model), metadata=dict(
        classes=json.dumps(list('abcdefgh')), resize='{}')))
    Image.fromarray(image).save(tmp_path / 'a.png')
    needed = ('onnxruntime', 'numpy', 'PIL', 'flatbuffers', 'google', 'packaging')
    packages = tmp_path / 'packages'
    packages.mkdir()
    for name in needed:
        place = Path(find_spec(name).submodule_search_locations[0])
        (packages / name).symlink_to(place)
        for libraries in place.parent.glob(f'{dict(PIL="pillow").get(name, name)}.libs'):
            (packages / libraries.name).symlink_to(libraries)
    # -S: no site-packages
    result = subprocess.run(
        [sys.executable, '-S', str(ROOT / 'demo' / 'infer_onnx.py'), 'a.onnx', 'a.png', 'b.png'],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, 'PYTHONPATH': str(packages)})
    assert result.returncode == 0, result.stderr[-2000:]
    with torch.no_grad():
        want = model.test_step(as_mmdet_takes(image))[0].pred_instances
    lines = [line.split() for line in result.stdout.splitlines()]
    assert len(lines) == (want.scores >= 0.3).sum() > 0
    for (name, score, *box), label, s, b in zip(lines, want.labels, want.scores, want.bboxes,
                                                strict=False):
        assert name == 'abcdefgh'[label] and abs(float(score) - s) < 2e-3
        np.testing.assert_allclose([float(x) for x in box], b, atol=0.1)
    drawn = np.asarray(Image.open(tmp_path / 'b.png'))
    zoom = 480 // max(image.shape)
    assert zoom > 1 and drawn.shape == (zoom * image.shape[0], zoom * image.shape[1], 3)
    for x, y in (zoom * want.bboxes[0]).round().int().reshape(2, 2).tolist():  # two corners
        assert (drawn[y - 1:y + 2, x - 1:x + 2] == (255, 0, 0)).all(-1).any()
