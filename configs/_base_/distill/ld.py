"""LD at the paper's temperature of 10, on the locations with objects, as mmdet's LDHead has it.

The published weight of 0.25 stands for a sum that is not divided; this is a mean over these
locations, and 1 is as much where their class scores add up to 68 on a GPU.
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
distill_losses = dict(loss_ld=dict(type='LDLoss', temperature=10.0, loss_weight=1.0))
custom_hooks = [dict(type='CheckDataHook')]
