_base_ = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
