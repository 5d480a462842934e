"""SP: which RoIs the teacher finds similar.

The paper has 3000 for 64 samples, and the value falls with their number: 16 times as much for
the 1024 RoIs of two images.
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
distill_losses = dict(loss_sp=dict(type='SPLoss', loss_weight=48000.0))
