_base_ = [
    '../students/faster-rcnn_r18_fpn_1x_coco.py',
    '../_base_/teachers/r101_fpn_2x.py', '../_base_/distill/reviewkd.py'
]
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher_config=_base_.teacher_config,
    teacher_ckpt=_base_.teacher_ckpt,
    distill_losses=dict(
        loss_reviewkd=dict(_base_.distill_losses.loss_reviewkd, levels=(0, 1, 2, 3, 4))))
