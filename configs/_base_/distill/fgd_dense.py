"""FGD with the weights of its paper for single-stage detectors, for 800 x 1333 images."""
_base_ = './fgd.py'
distill_losses = dict(loss_fgd=dict(alpha=1e-3, beta=5e-4, gamma=5e-4, lambda_=5e-6))
