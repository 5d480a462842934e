"""FRSKD: the student's maps, refined, teach the student; no other teacher.

tau and the weight of KD are the paper's for classification, the weight of AT is that of its
segmentation, whose form, a second BiFPN, this has. Both begin after two thirds of the training and
grow until its end, unless they have a `window`: before, there is little to learn from.
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
teacher_config = 'refined'
distill_losses = dict(
    loss_frskd_kd=dict(type='KDLoss', temperature=4.0),
    loss_frskd_at=dict(type='ATLoss', loss_weight=50.0))
