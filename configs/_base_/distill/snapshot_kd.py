"""Snapshot distillation: the student of the first cycle teaches that of the second.

Two cycles of the 1x schedule; the learning rate starts anew with the second, see
configs/snapshot. The teacher alone is softened and the loss is not multiplied by tau, as
the weight of 1 in the paper says; tau is the paper's for ImageNet.
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='SnapshotHook', cycle=6), dict(type='CheckDataHook')]
teacher_config = 'snapshot'
distill_losses = dict(
    loss_snapshot=dict(
        type='KDLoss', temperature=2.0, soften='teacher', tau_power=0.0, foreground_weight=0.5))
