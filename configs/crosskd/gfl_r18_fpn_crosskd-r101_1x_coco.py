_base_ = [
    '../students/gfl_r18_fpn_1x_coco.py',
    '../_base_/teachers/gfl_r101_fpn_2x.py', '../_base_/distill/crosskd.py'
]
model = dict(
    type='KnowledgeDistillationDenseDetector',
    teacher_config=_base_.teacher_config,
    teacher_ckpt=_base_.teacher_ckpt,
    cross_head=_base_.detector.cross_head,
    distill_losses=_base_.distill_losses)
