_base_ = [
    '../_base_/models/faster-rcnn_shapes.py', '../_base_/datasets/shapes.py',
    '../_base_/schedules/shapes.py', 'mmdet::_base_/default_runtime.py',
    '../_base_/safe_hooks.py'
]
# twice as long as the students, until it has converged
max_epochs = 16
train_cfg = dict(max_epochs=max_epochs, val_interval=4)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', eta_min_ratio=0.01, begin=0, end=max_epochs,
         by_epoch=True, convert_to_iter_based=True),
]
default_hooks = dict(
    checkpoint=dict(type=_base_.safe_hooks.checkpoint.type, max_keep_ckpts=1),
    finite=_base_.safe_hooks.finite, data=_base_.safe_hooks.data)
