"""DTKD: the sharper of student and teacher gets the higher temperature, beside plain KD.

The paper has a temperature of 4 and weights of 3 and 1, for classification. Here both are in that
ratio and add up to the weight of the other recipes, at the temperature of KD's recipe: a larger
weight, or a factor of 16, costs mAP on a detector's RoIs (docs/evidence/size-or-time.md).
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(
    loss_dtkd=dict(
        type='KDLoss',
        temperature=dict(type='DTKDTemperature', temperature=1.0, tau_min=0.25),
        loss_weight=0.75, foreground_weight=0.5),
    loss_dtkd_kd=dict(type='KDLoss', temperature=1.0, loss_weight=0.25, foreground_weight=0.5))
