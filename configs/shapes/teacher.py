_base_ = ['../_base_/models/faster-rcnn_shapes.py', '../_base_/datasets/shapes.py',
          '../_base_/schedules/shapes.py', 'mmdet::_base_/default_runtime.py']
