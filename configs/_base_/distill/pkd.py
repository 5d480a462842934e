"""PKD: correlation of the neck's maps, with the weight of its paper for two-stage detectors.

Single-stage ones take pkd_dense.py.
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(loss_pkd=dict(type='PKDLoss', loss_weight=6.0))
