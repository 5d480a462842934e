"""The shipped COCO recipe on real COCO files: crowds, images without boxes, 80 classes."""
import json
import math

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

import forked
from ctkd_det.curves import read_scalars
from helpers import CONFIGS, FEATURES, ROOT, run

# the recipe's networks, thin and at 160 pixels: the file formats are what is tested
THIN = {'backbone.base_channels': 8, 'backbone.init_cfg': None, 'backbone.frozen_stages': -1,
        'backbone.norm_eval': False, 'neck.in_channels': [8, 16, 32, 64], 'neck.out_channels': 16,
        'rpn_head.in_channels': 16, 'rpn_head.feat_channels': 16,
        'roi_head.bbox_roi_extractor.out_channels': 16, 'roi_head.bbox_head.in_channels': 16,
        'roi_head.bbox_head.fc_out_channels': 32}


def thin(path) -> Config:
    cfg = Config.fromfile(path)
    cfg.merge_from_dict({f'model.{key}': value for key, value in THIN.items()})
    return cfg


@pytest.fixture
def config(coco_mini, tmp_path):
    init_default_scope('mmdet')
    teacher = thin(CONFIGS / 'students' / 'faster-rcnn_r18_fpn_1x_coco.py')
    teacher.dump(tmp_path / 'teacher.py')
    torch.manual_seed(0)  # an unlucky random teacher can make the student diverge
    torch.save(MODELS.build(teacher.model).state_dict(), tmp_path / 'teacher.pth')
    cfg = thin(CONFIGS / 'ctkd' / 'faster-rcnn_r18_fpn_ctkd-r101_1x_coco.py')
    cfg.model.teacher_config = str(tmp_path / 'teacher.py')
    cfg.model.teacher_ckpt = str(tmp_path / 'teacher.pth')
    for part, name in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        loader = cfg[f'{part}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.update(data_root=str(coco_mini), ann_file=f'instances_{name}.json',
                              data_prefix=dict(img='images/'))
        for step in loader.dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (160, 160)
        if part != 'train':
            cfg[f'{part}_evaluator'].ann_file = str(coco_mini / f'instances_{name}.json')
    # images without a single box take part, in batches of their own among them
    cfg.train_dataloader.dataset.filter_cfg = dict(filter_empty_gt=False, min_size=0)
    cfg.train_dataloader.batch_size = 1
    cfg.model.test_cfg.rcnn.score_thr = 0.0  # so little training leaves every score low
    cfg.model.test_cfg.rpn.max_per_img = 100  # which leaves each of them 80 boxes
    cfg.merge_from_dict(dict(
        train_cfg=dict(max_epochs=2, val_interval=1), param_scheduler=None, randomness=dict(seed=0),
        log_processor=dict(window_size=1),  # losses as they are, no running mean
        # the recipe's 0.02 is for batches of 16, and warmed up
        optim_wrapper=dict(optimizer=dict(lr=0.02 / 16)),
        default_hooks=dict(logger=dict(interval=1)),
        custom_hooks=[dict(type='CurriculumHook', end=2)]))
    cfg.dump(tmp_path / 'config.py')
    return tmp_path / 'config.py'


def test_train_save_resume_evaluate(config, coco_mini, tmp_path):
    annotations = json.loads((coco_mini / 'instances_train.json').read_text())
    with_boxes = {a['image_id'] for a in annotations['annotations'] if not a['iscrowd']}
    assert len(annotations['categories']) == 80
    assert any(a['iscrowd'] for a in annotations['annotations'])
    without = [i for i in annotations['images'] if i['id'] not in with_boxes]

    def train(*options):
        result = forked.run(ROOT / 'tools' / 'train.py', config, '--work-dir', tmp_path / 'work',
                            *options)
        assert result.returncode == 0, result.stderr[-3000:]

    train('--cfg-options', 'train_cfg.max_epochs=1')  # one image a step
    curves = read_scalars(tmp_path / 'work')
    losses = torch.tensor(curves['loss_ctkd'][1])
    assert len(losses) == len(annotations['images']) and losses.isfinite().all()
    assert without, 'the data is meant to contain images without boxes'
    # no foreground RoI: nothing to regress, and still something to distil
    backgrounds = [i for i, v in enumerate(curves['loss_bbox'][1]) if v == 0]
    assert len(backgrounds) >= len(without) and (losses[backgrounds] > 0).all()
    assert curves['coco/bbox_mAP'][1][0] >= 0  # by pycocotools

    train('--resume')
    steps, lambdas = read_scalars(tmp_path / 'work')['ctkd.lambda']
    total = 2 * len(annotations['images'])
    assert steps == list(range(1, total + 1))
    assert lambdas == pytest.approx([math.sin(math.pi * i / (2 * total))**2 for i in steps])


def test_every_loss_between_features_trains_and_evaluates(config, tmp_path):
    """In one run: wide images of unequal size, crowds, images without boxes."""
    cfg = Config.fromfile(config)
    cfg.model.distill_losses = FEATURES
    cfg.train_dataloader.update(batch_size=2)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.indices = 8
    cfg.merge_from_dict(dict(custom_hooks=[], train_cfg=dict(max_epochs=1)))
    runner = run(cfg, tmp_path / 'features')
    for name in FEATURES:
        values = runner.message_hub.get_scalar(f'train/{name}').data[0]
        assert len(values) == 4 and all(map(math.isfinite, values)), name
    assert runner.message_hub.get_scalar('val/coco/bbox_mAP') is not None
