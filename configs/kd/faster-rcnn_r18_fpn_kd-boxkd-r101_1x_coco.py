_base_ = './faster-rcnn_r18_fpn_kd-r101_1x_coco.py'
model = dict(
    distill_losses=dict(loss_boxkd=dict(type='BoxKDLoss', mode='bounded', loss_weight=0.5)))
