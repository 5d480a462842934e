"""The same with the second bench's teacher and KD at temperature 1."""
_base_ = ['./bench_b_scratch_student.py', '../_base_/distill/kd_fixed.py']
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher_config='{{ fileDirname }}/bench_b_teacher.py',
    teacher_ckpt='work_dirs/bench/shapes_b/teacher/epoch_16.pth',
    distill_losses=_base_.distill_losses)
