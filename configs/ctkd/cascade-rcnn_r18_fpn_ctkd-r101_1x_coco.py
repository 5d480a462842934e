_base_ = [
    '../students/cascade-rcnn_r18_fpn_1x_coco.py',
    '../_base_/teachers/cascade_r101_fpn_20e.py', '../_base_/distill/ctkd_global.py'
]
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher_config=_base_.teacher_config,
    teacher_ckpt=_base_.teacher_ckpt,
    distill_losses=_base_.distill_losses)
optim_wrapper = dict(paramwise_cfg=_base_.temperature_paramwise)
