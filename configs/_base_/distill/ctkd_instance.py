"""CTKD with one temperature for each RoI, from a small perceptron."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
distill_losses = dict(
    loss_ctkd=dict(
        type='KDLoss',
        temperature=dict(type='InstanceTemperature', num_classes=80),
        foreground_weight=0.5))
custom_hooks = [dict(type='CurriculumHook')]
temperature_paramwise = dict(
    custom_keys={'distill_losses': dict(lr_mult=0.05, decay_mult=0.0)})
