"""CTKD in decoupled KD: one global temperature."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
distill_losses = dict(
    loss_ctkd=dict(
        type='DKDLoss',
        temperature=dict(type='GlobalTemperature'),
        foreground_weight=0.5))
custom_hooks = [dict(type='CurriculumHook')]
temperature_paramwise = dict(
    custom_keys={'distill_losses': dict(lr_mult=0.05, decay_mult=0.0)})
