"""WTTM: TTM with a larger weight for each RoI of which the teacher is not certain."""
_base_ = './ttm.py'
distill_losses = dict(
    _delete_=True,
    loss_wttm=dict(
        type='KDLoss', temperature=2.0, soften='teacher', uncertainty_weight=True,
        foreground_weight=0.5))
