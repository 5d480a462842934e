"""SSKD: the teacher on plain images and on rotated ones, and which objects it finds alike there.

tau of each term and the weight of the last are those of the published code, for classification.
There KD has 0.9 and the rotated KD 2.7, beside 0.1 of the task's loss; with that a detector would
learn little else: at 0.2 each has half of the gradient of the detector's own losses
(ctkd-det benchmark loss_scale, untrained student of the embedded example). In the first tenth
of the training the teacher's part of the last term learns alone.
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(
    loss_sskd_kd=dict(type='KDLoss', temperature=4.0, loss_weight=0.2),
    loss_sskd_rotated=dict(type='KDLoss', temperature=4.0, loss_weight=0.2, rotated=True),
    loss_sskd_ss=dict(type='SSKDLoss', tau=0.5, wrong_share=0.75, loss_weight=10.0,
                      window=dict(begin=0.1)))
