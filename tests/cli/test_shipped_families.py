"""One command line distils MMDetection's config of each family, networks unchanged, on COCO.

Images are resized to 480 x 320, but for those whose mosaics have a size of their own. One family
always; ``CTKD_DET_LONG=1`` runs all of them, which takes some ten minutes, and
``CTKD_DET_LONG=own-sizes`` each with the images of its own pipeline, 800 x 1333 for most.
"""
import json
import math
import os

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from cli.conftest import invoke
from ctkd_det.curves import read_scalars
from ctkd_det_cli.distill.zoo import find_config
from families import DETR

# student and teacher; where the zoo has one of a family, it teaches itself
PAIRS = dict(
    retinanet=('retinanet_r18_fpn_1x_coco', 'retinanet_r50_fpn_1x_coco'),
    fcos=('fcos_r50-caffe_fpn_gn-head_1x_coco', 'fcos_r101-caffe_fpn_gn-head-1x_coco'),
    atss=('atss_r50_fpn_1x_coco', 'atss_r101_fpn_1x_coco'),
    gfl=('gfl_r50_fpn_1x_coco', 'gfl_r101_fpn_ms-2x_coco'),
    rtmdet=('rtmdet_tiny_8xb32-300e_coco', 'rtmdet_s_8xb32-300e_coco'),
    rtmdet_ins=('rtmdet-ins_tiny_8xb32-300e_coco', 'rtmdet-ins_s_8xb32-300e_coco'),
    yolox=('yolox_tiny_8xb8-300e_coco', 'yolox_s_8xb8-300e_coco'),
    tood=('tood_r50_fpn_1x_coco', 'tood_r101_fpn_ms-2x_coco'),
    vfnet=('vfnet_r50_fpn_1x_coco', 'vfnet_r101_fpn_1x_coco'),
    paa=('paa_r50_fpn_1x_coco', 'paa_r101_fpn_1x_coco'),
    ddod=('ddod_r50_fpn_1x_coco', ) * 2,
    yolof=('yolof_r50-c5_8xb8-1x_coco', ) * 2,
    autoassign=('autoassign_r50-caffe_fpn_1x_coco', ) * 2,
    deformable=('deformable-detr_r50_16xb2-50e_coco', ) * 2,
    dab=('dab-detr_r50_8xb2-50e_coco', ) * 2,
    conditional=('conditional-detr_r50_8xb2-50e_coco', ) * 2,
    dino=('dino-4scale_r50_8xb2-12e_coco', ) * 2)
ALWAYS = ('yolox', )
OWN_SIZES = tuple(PAIRS) if os.environ.get('CTKD_DET_LONG') == 'own-sizes' else (
    'rtmdet', 'rtmdet_ins', 'yolox')
# DETRs train on random crops of a size of their own
RESIZED = '''
_base_ = {base!r}
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(480, 320), keep_ratio=True), dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs')]))
'''


@pytest.fixture(scope='module')
def two_images(tmp_path_factory):
    """A data set of two real images to train on, and one to evaluate on."""
    from helpers import COCO_MINI
    if not COCO_MINI.is_dir():
        pytest.skip(f'needs {COCO_MINI.name}, real COCO images beside the checkout')
    folder = tmp_path_factory.mktemp('coco')
    for part, number in (('train', 2), ('val', 1)):
        content = json.loads((COCO_MINI / f'instances_{part}.json').read_text())
        objects = {entry['id']: [] for entry in content['images']}
        for annotation in content['annotations']:
            objects[annotation['image_id']].append(annotation)
        # a crowd has no polygon, which RTMDet-Ins' pipeline asks for
        images = [image for image in content['images'] if objects[image['id']] and not any(
            a['iscrowd'] for a in objects[image['id']])][:number]
        content.update(images=images, annotations=[
            a for image in images for a in objects[image['id']]])
        (folder / f'{part}.json').write_text(json.dumps(content))
        (folder / part).symlink_to(COCO_MINI / 'images')
    return folder


@pytest.mark.parametrize('family', [family if family in ALWAYS else pytest.param(
    family, marks=pytest.mark.skipif('CTKD_DET_LONG' not in os.environ,
                                     reason='minutes: set CTKD_DET_LONG=1')) for family in PAIRS])
def test_two_iterations_from_one_line(family, two_images, tmp_path):
    student, teacher = PAIRS[family]
    if family in DETR and family not in OWN_SIZES:
        (tmp_path / 'student.py').write_text(RESIZED.format(base=find_config(student).reference))
        student = tmp_path / 'student.py'
    init_default_scope('mmdet')
    torch.manual_seed(1)
    config = find_config(teacher).config.model
    config.backbone.init_cfg = None
    taught = MODELS.build(config)
    taught.init_weights()  # DINO's level_embed is memory that nobody wrote to
    torch.save(taught.state_dict(), tmp_path / 'teacher.pth')
    result = invoke(
        'distill', student, '--teacher', teacher, '--teacher-ckpt', tmp_path / 'teacher.pth',
        '--data', two_images, '--epochs', 1, '--batch-size', 1, '--lr', 1e-5,
        *([] if family in OWN_SIZES else ['--img-scale', 480, 320]),
        '--out', tmp_path / 'x.py', '--work-dir', tmp_path / 'work',
        # no download, no processes for two images, both steps in the log
        '--cfg-options', 'model.backbone.init_cfg=None', 'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0',
        'val_dataloader.persistent_workers=False', 'default_hooks.logger.interval=1',
        'log_processor.window_size=1')
    assert result.exit_code == 0, result.output[-3000:]
    curves = read_scalars(tmp_path / 'work')
    for name in ('loss', 'loss_ctkd'):
        steps, values = curves[name]
        assert steps == [1, 2] and all(map(math.isfinite, values)), (name, values)
    assert min(curves['loss_ctkd'][1]) > 0 and (tmp_path / 'work' / 'epoch_1.pth').is_file()
    for file in tmp_path.rglob('*.pth'):  # some hundred MB of each family
        file.unlink()
