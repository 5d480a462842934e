"""CTKD with one global temperature for classifiers that end in sigmoids."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
distill_losses = dict(
    loss_ctkd=dict(
        type='BinaryKDLoss',
        temperature=dict(type='GlobalTemperature'),
        # without it the loss is a sum over all anchors, divided by the number of positives
        foreground_weight=0.5))
custom_hooks = [dict(type='CurriculumHook')]
temperature_paramwise = dict(
    custom_keys={'distill_losses': dict(lr_mult=0.05, decay_mult=0.0)})
