"""CTKD with one temperature for objects and one for the background."""
_base_ = './ctkd_global.py'
distill_losses = dict(
    loss_ctkd=dict(temperature=dict(type='GroupTemperature', by='foreground', num_classes=80)))
