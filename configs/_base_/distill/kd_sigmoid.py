"""KD at a fixed temperature of 1 for classifiers that end in sigmoids."""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
# without foreground_weight the loss is a sum over all anchors, divided by the number of positives
distill_losses = dict(loss_kd=dict(type='BinaryKDLoss', temperature=1.0, foreground_weight=0.5))
