"""CTKD with one global temperature for classifiers that end in sigmoids.

Without ``foreground_weight`` the loss is a sum over all anchors, divided by the number of
positives.
"""
_base_ = './ctkd_global.py'
distill_losses = dict(loss_ctkd=dict(type='BinaryKDLoss'))
