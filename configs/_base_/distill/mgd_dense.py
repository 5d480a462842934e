"""MGD with weight and ratio of its paper for single-stage detectors, for 800 x 1333 images."""
_base_ = './mgd.py'
distill_losses = dict(loss_mgd=dict(loss_weight=2e-5, mask_ratio=0.65))
