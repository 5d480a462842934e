"""CTKD with one global temperature, half of the loss on foreground RoIs."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
distill_losses = dict(
    loss_ctkd=dict(
        type='KDLoss',
        temperature=dict(type='GlobalTemperature'),
        foreground_weight=0.5))
# lambda grows over the whole training
custom_hooks = [dict(type='CurriculumHook'), dict(type='CheckDataHook')]
# The key occurs in the names of the temperatures' parameters alone: the adapters of feature
# losses learn as fast as the student. Weight decay would pull theta to 0, that is tau to the
# middle of its range; at the detector's own learning rate tau would be at its upper bound within
# two epochs.
temperature_paramwise = dict(
    custom_keys=dict(temperature=dict(lr_mult=0.05, decay_mult=0.0)))
