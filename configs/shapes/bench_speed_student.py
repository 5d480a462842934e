"""The bench of speed: the student alone from scratch, validated after every epoch."""
_base_ = './student.py'
data_root = 'data/shapes_bench/'
train_cfg = dict(val_interval=1)
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(type='FasterCocoMetric', ann_file=data_root + 'val.json')
test_evaluator = val_evaluator
