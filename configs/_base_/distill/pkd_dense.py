"""PKD with the weight of its paper for single-stage detectors."""
_base_ = './pkd.py'
distill_losses = dict(loss_pkd=dict(loss_weight=10.0))
