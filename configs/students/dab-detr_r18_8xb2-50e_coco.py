_base_ = ['mmdet::dab_detr/dab-detr_r50_8xb2-50e_coco.py', '../_base_/safe_hooks.py']
model = dict(
    backbone=dict(
        depth=18, init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')),
    neck=dict(in_channels=[512]))
default_hooks = _base_.safe_hooks
