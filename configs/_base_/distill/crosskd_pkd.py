"""CrossKD with PKD between the necks, with the weight that CrossKD's authors give PKD for GFL."""
_base_ = './crosskd.py'
distill_losses = dict(loss_pkd=dict(type='PKDLoss', loss_weight=6.0))
