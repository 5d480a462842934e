_base_ = ['../students/faster-rcnn_r18_fpn_1x_coco.py', '../_base_/distill/frskd.py']
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher_config=_base_.teacher_config,
    distill_losses=_base_.distill_losses)
