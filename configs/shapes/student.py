_base_ = [
    '../_base_/models/faster-rcnn_shapes.py', '../_base_/datasets/shapes.py',
    '../_base_/schedules/shapes.py', 'mmdet::_base_/default_runtime.py',
    '../_base_/safe_hooks.py'
]
# a quarter of the teacher's width: 0.1 million parameters instead of 1.3
model = dict(
    backbone=dict(base_channels=8),
    neck=dict(in_channels=[8, 16, 32], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=64)))
default_hooks = dict(
    checkpoint=dict(type=_base_.safe_hooks.checkpoint.type, max_keep_ckpts=1),
    finite=_base_.safe_hooks.finite, data=_base_.safe_hooks.data)
