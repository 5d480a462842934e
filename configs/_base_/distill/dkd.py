"""Decoupled KD at temperature 1 with the weights of its paper for detection."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(
    loss_dkd=dict(
        type='DKDLoss',
        temperature=1.0,
        foreground_weight=0.5, alpha=1.0, beta=0.25))
