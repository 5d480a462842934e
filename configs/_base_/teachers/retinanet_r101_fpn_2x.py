"""RetinaNet R101, 38.9 mAP by MMDetection's model zoo; downloaded when first used."""
teacher_config = 'mmdet::retinanet/retinanet_r101_fpn_2x_coco.py'
teacher_ckpt = (
    'https://download.openmmlab.com/mmdetection/v2.0/retinanet/'
    'retinanet_r101_fpn_2x_coco/retinanet_r101_fpn_2x_coco_20200131-5560aee8.pth')
