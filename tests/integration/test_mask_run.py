"""Masks on real COCO files: from one command line to mask mAP and an exported student."""
import pytest
import torch
from cli.conftest import invoke
from integration.test_coco_mini import THIN
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import helpers

MASKS = {'roi_head.mask_roi_extractor.out_channels': 16, 'roi_head.mask_head.in_channels': 16,
         'roi_head.mask_head.conv_out_channels': 16, 'roi_head.mask_head.num_convs': 1}


@pytest.fixture
def config(coco_mini, tmp_path):
    """The shipped recipe, thin and at 160 pixels, on eight images, with CTKD beside it."""
    init_default_scope('mmdet')
    cfg = Config.fromfile(helpers.CONFIGS / 'maskkd' / 'mask-rcnn_r18_fpn_maskkd-r101_1x_coco.py')
    thin = {f'model.{key}': value for key, value in {**THIN, **MASKS}.items()}
    teacher = Config.fromfile(helpers.CONFIGS / 'students' / 'mask-rcnn_r18_fpn_1x_coco.py')
    for each in (cfg, teacher):
        each.merge_from_dict(thin)
    teacher.dump(tmp_path / 'teacher.py')
    torch.manual_seed(1)
    torch.save(dict(state_dict=helpers.build(teacher).state_dict()), tmp_path / 'teacher.pth')
    cfg.model.update(teacher_config=str(tmp_path / 'teacher.py'),
                     teacher_ckpt=str(tmp_path / 'teacher.pth'))
    cfg.model.distill_losses.loss_kd = dict(type='KDLoss', temperature=1.0)
    cfg.model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=5)
    for part, name in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        loader = cfg[f'{part}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.update(data_root=str(coco_mini), ann_file=f'instances_{name}.json',
                              data_prefix=dict(img='images/'), indices=8)
        for step in loader.dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (160, 160)
        if part != 'train':
            cfg[f'{part}_evaluator'].ann_file = str(coco_mini / f'instances_{name}.json')
    cfg.merge_from_dict(dict(
        train_cfg=dict(max_epochs=1), randomness=dict(seed=0), log_processor=dict(window_size=1),
        optim_wrapper=dict(optimizer=dict(lr=0.002)), param_scheduler=None,
        default_hooks=dict(logger=dict(interval=1)), work_dir=str(tmp_path / 'work'),
        experiment_name=f'masks_{tmp_path.name}'))
    return cfg


def test_mask_map_before_and_after_and_an_exported_student_with_its_mask_head(config, tmp_path):
    config.dump(tmp_path / 'config.py')
    runner = Runner.from_cfg(config)
    before = runner.val()
    runner.train()
    after = {key.removeprefix('val/'): runner.message_hub.get_scalar(key).data[0][-1]
             for key in runner.message_hub.log_scalars if 'segm_mAP' in key}
    assert before.keys() >= after.keys() >= {'coco/segm_mAP', 'coco/segm_mAP_50'}
    assert all(0 <= value <= 1 for value in after.values())
    losses = runner.message_hub.get_scalar('train/loss_maskkd').data[0]
    assert len(losses) == 4 and max(losses) > 0
    exported = invoke('export', tmp_path / 'config.py', tmp_path / 'work' / 'epoch_1.pth', '--out',
                      tmp_path / 'student', '--shape', 160, 160)
    assert exported.exit_code == 0, exported.output
    student = helpers.build(Config.fromfile(tmp_path / 'student' / 'config.py')).eval()
    weights = torch.load(tmp_path / 'student' / 'config.pth')['state_dict']
    student.load_state_dict(weights)
    assert any('mask_head' in key for key in weights)
    data = helpers.batch(student, training=False)
    with torch.no_grad():
        a, b = (model.eval()(**data, mode='predict')[0].pred_instances
                for model in (student, runner.model))
    assert len(a) > 0 and torch.equal(a.masks, b.masks) and torch.equal(a.scores, b.scores)
