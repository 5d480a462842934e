"""KD of the masks of Mask R-CNN, Cascade Mask R-CNN or RTMDet-Ins, at a temperature of 1.

Of each mask the mean over its pixels, as the detector's own mask loss is. Weight and temperature
were not tuned.
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(loss_maskkd=dict(type='MaskKDLoss', temperature=1.0))
