"""The same with the shipped teacher and KD at temperature 1."""
_base_ = ['./bench_warm_student.py', '../_base_/distill/kd_fixed.py']
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher_config='{{ fileDirname }}/teacher.py',
    teacher_ckpt='{{ fileDirname }}/teacher.pth',
    distill_losses=_base_.distill_losses)
