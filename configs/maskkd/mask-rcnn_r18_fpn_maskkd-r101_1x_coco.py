_base_ = [
    '../students/mask-rcnn_r18_fpn_1x_coco.py',
    '../_base_/teachers/mask_r101_fpn_2x.py', '../_base_/distill/maskkd.py'
]
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher_config=_base_.teacher_config,
    teacher_ckpt=_base_.teacher_ckpt,
    distill_losses=_base_.distill_losses)
