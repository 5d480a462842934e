"""CTKD in decoupled KD: one global temperature."""
_base_ = './ctkd_global.py'
distill_losses = dict(loss_ctkd=dict(type='DKDLoss'))
