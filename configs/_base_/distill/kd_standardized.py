"""KD on standardised logits at the temperature 2 of that paper."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        temperature=2.0,
        foreground_weight=0.5, standardize=True))
