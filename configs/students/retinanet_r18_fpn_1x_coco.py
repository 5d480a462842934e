_base_ = ['mmdet::retinanet/retinanet_r18_fpn_1x_coco.py', '../_base_/safe_hooks.py']
default_hooks = _base_.safe_hooks
