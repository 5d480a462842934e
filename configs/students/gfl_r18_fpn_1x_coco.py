_base_ = ['mmdet::gfl/gfl_r50_fpn_1x_coco.py', '../_base_/safe_hooks.py']
model = dict(
    backbone=dict(
        depth=18, init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')),
    neck=dict(in_channels=[64, 128, 256, 512]))
default_hooks = _base_.safe_hooks
