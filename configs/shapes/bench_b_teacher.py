"""The second bench, which no setting was chosen on: 80 pixels, five classes; its teacher."""
_base_ = './teacher.py'
data_root = 'data/shapes_bench_b/'
metainfo = dict(classes=('triangle', 'square', 'pentagon', 'hexagon', 'circle'))
train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader
val_evaluator = dict(type='FasterCocoMetric', ann_file=data_root + 'val.json')
test_evaluator = val_evaluator
model = dict(
    backbone=dict(depth=34, base_channels=24),
    neck=dict(in_channels=[24, 48, 96], out_channels=32),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32),
        bbox_head=dict(in_channels=32, fc_out_channels=128, num_classes=5)))
