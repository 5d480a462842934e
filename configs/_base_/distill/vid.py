"""VID: likelihood of the teacher's maps. The weight is that of the paper, for classification."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(loss_vid=dict(type='VIDLoss', loss_weight=1.0))
# decay would pull the variances to softplus(0)
adapter_paramwise = dict(custom_keys=dict(raw_variances=dict(decay_mult=0.0)))
