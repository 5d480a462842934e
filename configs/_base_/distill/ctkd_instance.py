"""CTKD with one temperature for each RoI, from a small perceptron."""
_base_ = './ctkd_global.py'
distill_losses = dict(
    loss_ctkd=dict(temperature=dict(type='InstanceTemperature', num_classes=80)))
