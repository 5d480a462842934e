"""GFL R101, multi-scale, 44.7 mAP by MMDetection's model zoo; downloaded when first used."""
teacher_config = 'mmdet::gfl/gfl_r101_fpn_ms-2x_coco.py'
teacher_ckpt = (
    'https://download.openmmlab.com/mmdetection/v2.0/gfl/gfl_r101_fpn_mstrain_2x_coco/'
    'gfl_r101_fpn_mstrain_2x_coco_20200629_200126-dd12f847.pth')
