"""CTKD with one global temperature for classifiers that end in sigmoids."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
distill_losses = dict(
    loss_ctkd=dict(
        type='BinaryKDLoss',
        temperature=dict(
            type='GlobalTemperature', tau_min=0.5, tau_range=1.5, initial_temperature=1.0),
        # without it the loss is a sum over all anchors, divided by the number of positives
        foreground_weight=0.5))
custom_hooks = [dict(type='CurriculumHook')]
temperature_paramwise = dict(
    custom_keys={'distill_losses': dict(lr_mult=0.05, decay_mult=0.0)})
