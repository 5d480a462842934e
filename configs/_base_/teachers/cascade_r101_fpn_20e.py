"""Cascade R-CNN R101, 42.5 mAP by MMDetection's model zoo; downloaded when first used."""
teacher_config = 'mmdet::cascade_rcnn/cascade-rcnn_r101_fpn_20e_coco.py'
teacher_ckpt = (
    'https://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/'
    'cascade_rcnn_r101_fpn_20e_coco/'
    'cascade_rcnn_r101_fpn_20e_coco_bbox_mAP-0.425_20200504_231812-5057dcc5.pth')
