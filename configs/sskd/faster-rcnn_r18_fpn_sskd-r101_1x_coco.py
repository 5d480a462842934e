_base_ = [
    '../students/faster-rcnn_r18_fpn_1x_coco.py',
    '../_base_/teachers/r101_fpn_2x.py', '../_base_/distill/sskd.py'
]
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher_config=_base_.teacher_config,
    teacher_ckpt=_base_.teacher_ckpt,
    distill_losses=_base_.distill_losses)
