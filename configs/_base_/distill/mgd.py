"""MGD: the teacher's maps from masked ones, with the weight of its paper for two-stage detectors.

The weight is for 800 x 1333 images: the loss is a sum over positions. Single-stage detectors take
mgd_dense.py.
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(loss_mgd=dict(type='MGDLoss', loss_weight=5e-7, mask_ratio=0.45))
clip_grad = dict(max_norm=35, norm_type=2)
