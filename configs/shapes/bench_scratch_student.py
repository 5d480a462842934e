"""The bench from scratch: the student alone, as long as its teacher was trained.

Validated every second epoch, for its speed as well as its end.
"""
_base_ = './student.py'
data_root = 'data/shapes_bench/'
max_epochs = 16
train_cfg = dict(max_epochs=max_epochs, val_interval=2)
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(type='FasterCocoMetric', ann_file=data_root + 'val.json')
test_evaluator = val_evaluator
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', eta_min_ratio=0.01, begin=0, end=max_epochs,
         by_epoch=True, convert_to_iter_based=True),
]
