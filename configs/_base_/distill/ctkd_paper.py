"""CTKD with the paper's literal values: tau from 15.62 in (1, 21), every RoI alike."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
distill_losses = dict(
    loss_ctkd=dict(
        type='KDLoss',
        temperature=dict(type='GlobalTemperature', tau_min=1.0, tau_range=20.0, init=1.0)))
custom_hooks = [dict(type='CurriculumHook', end=10, convert_to_iter_based=False)]
temperature_paramwise = dict(custom_keys={'distill_losses': dict(decay_mult=0.0)})
