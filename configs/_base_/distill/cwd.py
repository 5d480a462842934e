"""CWD: each channel of the neck as a distribution, with the weight of MMRazor's Faster R-CNN."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(loss_cwd=dict(type='CWDLoss', loss_weight=10.0, tau=1.0))
