"""CTKD with the paper's literal values: tau from 15.62 in (1, 21), every RoI alike."""
_base_ = './ctkd_global.py'
distill_losses = dict(
    loss_ctkd=dict(
        temperature=dict(tau_min=1.0, tau_range=20.0, init=1.0),
        foreground_weight=None))
custom_hooks = [dict(type='CurriculumHook', end=10, convert_to_iter_based=False),
                dict(type='CheckDataHook')]
# theta learns as fast as the student
temperature_paramwise = dict(custom_keys=dict(temperature=dict(lr_mult=1.0)))
