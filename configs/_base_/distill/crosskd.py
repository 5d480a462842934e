"""CrossKD: the student's features through the rest of a single-stage teacher's head.

The loss is the paper's between classifications; its losses between boxes are not in here.
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
detector = dict(cross_head=dict())
distill_losses = dict(loss_crosskd=dict(type='QualityFocalKDLoss'))
