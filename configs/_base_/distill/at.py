"""AT: where the neck's maps are large. The weight is that of the paper, for classification."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(loss_at=dict(type='ATLoss', loss_weight=1000.0))
