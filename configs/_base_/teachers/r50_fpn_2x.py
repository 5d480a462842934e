"""Faster R-CNN R50, 38.4 mAP by MMDetection's model zoo; downloaded when first used."""
teacher_config = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py'
teacher_ckpt = (
    'https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/'
    'faster_rcnn_r50_fpn_2x_coco/'
    'faster_rcnn_r50_fpn_2x_coco_bbox_mAP-0.384_20200504_210434-a5d8aa15.pth')
