"""CTKD in LD: the temperature of the box distributions is learned, from LD's 10 on.

The bounds are those of CTKD's paper, 1 and 21.
"""
_base_ = './ld.py'
distill_losses = dict(
    loss_ld=dict(temperature=dict(
        _delete_=True, type='GlobalTemperature', tau_min=1, tau_range=20,
        initial_temperature=10)))
# lambda grows over the whole training
custom_hooks = [dict(type='CurriculumHook'), dict(type='CheckDataHook')]
# see ctkd_global.py
temperature_paramwise = dict(
    custom_keys=dict(temperature=dict(lr_mult=0.05, decay_mult=0.0)))
