"""Snapshot distillation for classifiers that end in sigmoids."""
_base_ = './snapshot_kd.py'
distill_losses = dict(loss_snapshot=dict(type='BinaryKDLoss'))
