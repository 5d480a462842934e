"""LD on the locations with objects and in the valuable region around them, as in the paper.

The published sum over the region has a quarter of the other's factor.
"""
_base_ = './ld.py'
distill_losses = dict(
    loss_ld_vlr=dict(type='LDLoss', source='vlr', temperature=10.0, loss_weight=0.25))
