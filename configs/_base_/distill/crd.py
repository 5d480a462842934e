"""CRD: contrast between the RoIs of a batch, not the memory of the paper.

The weight is that of the paper, for classification with 16384 negatives.
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(loss_crd=dict(type='CRDLoss', loss_weight=0.8))
