"""KD on standardised logits at the temperature 2 of that paper."""
_base_ = './kd_fixed.py'
distill_losses = dict(loss_kd=dict(temperature=2.0, standardize=True))
