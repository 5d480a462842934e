"""SRRL: RoI features, and what the teacher's classifier says of them.

The weight is that of the paper, for classification.
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(loss_srrl=dict(type='SRRLLoss', loss_weight=1.0, alpha=1.0, beta=1.0))
