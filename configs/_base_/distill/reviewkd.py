"""ReviewKD: fused levels of the neck, with the weight of its paper for R18 <- R101."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(loss_reviewkd=dict(type='ReviewKDLoss', loss_weight=1.2))
