_base_ = [
    '../_base_/models/cascade-rcnn_r18_fpn.py', 'mmdet::_base_/datasets/coco_detection.py',
    'mmdet::_base_/schedules/schedule_1x.py', 'mmdet::_base_/default_runtime.py',
    '../_base_/safe_hooks.py'
]
default_hooks = _base_.safe_hooks
