"""DAB-DETR R50, 42.3 mAP by MMDetection's model zoo; downloaded when first used."""
teacher_config = 'mmdet::dab_detr/dab-detr_r50_8xb2-50e_coco.py'
teacher_ckpt = (
    'https://download.openmmlab.com/mmdetection/v3.0/dab_detr/dab-detr_r50_8xb2-50e_coco/'
    'dab-detr_r50_8xb2-50e_coco_20221122_120837-c1035c8c.pth')
