"""FitNet: squared difference of the neck's maps. No weight is published with a detector."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(loss_fitnet=dict(type='FitNetLoss', loss_weight=1.0))
