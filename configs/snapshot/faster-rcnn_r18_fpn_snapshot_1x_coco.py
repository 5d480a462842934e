_base_ = ['../students/faster-rcnn_r18_fpn_1x_coco.py', '../_base_/distill/snapshot_kd.py']
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher_config=_base_.teacher_config,
    distill_losses=_base_.distill_losses)
# Two cycles, each as long as SnapshotHook's. CosineRestartLR sets its first rate, and LinearLR
# multiplies what it finds: so it comes after.
param_scheduler = [
    dict(type='CosineRestartLR', periods=[6, 6], restart_weights=[1, 1], eta_min_ratio=0, begin=0,
         end=12, by_epoch=True, convert_to_iter_based=True),
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
]
