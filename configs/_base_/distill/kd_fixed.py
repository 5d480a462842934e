"""KD at a fixed temperature of 1, half of the loss on foreground RoIs."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(loss_kd=dict(type='KDLoss', temperature=1.0, foreground_weight=0.5))
