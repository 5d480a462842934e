"""CWD with the weight published for RetinaNet."""
_base_ = './cwd.py'
distill_losses = dict(loss_cwd=dict(loss_weight=5.0))
