"""FGD: foreground and background apart, with the weights of its paper for two-stage detectors.

The weights are for 800 x 1333 images: the losses are sums over positions. Single-stage detectors
take fgd_dense.py.
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(
    loss_fgd=dict(
        type='FGDLoss',
        loss_weight=1.0,
        temperature=0.5, alpha=5e-5, beta=2.5e-5, gamma=5e-5, lambda_=5e-7))
clip_grad = dict(max_norm=35, norm_type=2)
