"""CTKD in DIST: one global temperature."""
_base_ = './ctkd_global.py'
distill_losses = dict(loss_ctkd=dict(type='DISTLoss'))
