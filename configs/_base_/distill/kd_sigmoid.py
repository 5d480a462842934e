"""KD at a fixed temperature of 1 for classifiers that end in sigmoids.

Without ``foreground_weight`` the loss is a sum over all anchors, divided by the number of
positives.
"""
_base_ = './kd_fixed.py'
distill_losses = dict(loss_kd=dict(type='BinaryKDLoss'))
