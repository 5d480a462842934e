"""BCKD's loss between boxes at every location (ICCV 2023), with the weight of its authors for GFL.

For single-stage detectors. Its loss between classes is not here: ctkd+boxkd_iou, kd+boxkd_iou.
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
distill_losses = dict(
    loss_boxkd=dict(type='BoxKDLoss', mode='iou', source='all_boxes', loss_weight=4.0))
custom_hooks = [dict(type='CheckDataHook')]
