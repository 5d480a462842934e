"""PKT: the distribution of similarities around each RoI.

The published 30000 is for 64 samples, and the value falls with their number: for the 1024 RoIs of
two images it is 16 times as much, rounded.
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(loss_pkt=dict(type='PKTLoss', loss_weight=5e5))
