"""KD at temperatures 1, 2 and 4 at once: the mean of the three losses."""
_base_ = './kd_fixed.py'
distill_losses = dict(loss_kd=dict(temperature=[1.0, 2.0, 4.0]))
