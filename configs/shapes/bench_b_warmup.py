"""The second bench's trunk: see bench_warmup.py."""
_base_ = './bench_warmup.py'
data_root = 'data/shapes_bench_b/'
metainfo = dict(classes=('triangle', 'square', 'pentagon', 'hexagon', 'circle'))
train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
model = dict(
    backbone=dict(base_channels=10),
    neck=dict(in_channels=[10, 20, 40], out_channels=20),
    rpn_head=dict(in_channels=20, feat_channels=20),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=20),
        bbox_head=dict(in_channels=20, fc_out_channels=48, num_classes=5)))
