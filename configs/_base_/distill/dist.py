"""DIST at temperature 1."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(
    loss_dist=dict(
        type='DISTLoss',
        temperature=1.0,
        foreground_weight=0.5, beta=1.0, gamma=1.0))
