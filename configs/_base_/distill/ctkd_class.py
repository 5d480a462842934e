"""CTKD with one temperature for each class."""
_base_ = './ctkd_global.py'
distill_losses = dict(
    loss_ctkd=dict(temperature=dict(type='GroupTemperature', by='class', num_classes=80)))
