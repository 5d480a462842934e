"""KD with a temperature that rises from 1 to 2 along a cosine, without an adversary."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        temperature=dict(type='ScheduledTemperature', start=1.0, end=2.0, curve='cosine'),
        foreground_weight=0.5))
custom_hooks = [dict(type='CurriculumHook')]
