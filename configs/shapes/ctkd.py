_base_ = ['./student.py', '../_base_/distill/ctkd_global.py']
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher_config='{{ fileDirname }}/teacher.py',
    teacher_ckpt='{{ fileDirname }}/teacher.pth',
    distill_losses=_base_.distill_losses)
optim_wrapper = dict(paramwise_cfg=_base_.temperature_paramwise)
