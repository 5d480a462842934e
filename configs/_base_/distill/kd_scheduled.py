"""KD with a temperature that rises from 1 to 2 along a cosine, without an adversary."""
_base_ = './kd_fixed.py'
distill_losses = dict(
    loss_kd=dict(
        temperature=dict(
            _delete_=True, type='ScheduledTemperature', start=1.0, end=2.0, curve='cosine')))
custom_hooks = [dict(type='CurriculumHook'), dict(type='CheckDataHook')]
