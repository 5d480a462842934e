"""Teacher-bounded regression of Chen et al. (NeurIPS 2017), with their weight.

It is divided by what the student's box loss is divided by.
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
distill_losses = dict(loss_boxkd=dict(type='BoxKDLoss', mode='bounded', loss_weight=0.5))
custom_hooks = [dict(type='CheckDataHook')]
