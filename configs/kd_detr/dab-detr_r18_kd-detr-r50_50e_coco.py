_base_ = [
    '../students/dab-detr_r18_8xb2-50e_coco.py', '../_base_/teachers/dab-detr_r50_50e.py',
    '../_base_/distill/kd_detr.py'
]
model = dict(
    type='KnowledgeDistillationDABDETR',
    teacher_config=_base_.teacher_config,
    teacher_ckpt=_base_.teacher_ckpt,
    distilled_queries=_base_.detector.distilled_queries,
    distill_losses=_base_.distill_losses)
