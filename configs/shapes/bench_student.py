"""The bench's branches: from the trunk, 3 epochs in which the learning rate falls to 0.

The student alone; tools/benchmarks/recipe_search.py adds what a method needs.
"""
_base_ = './student.py'
data_root = 'data/shapes_bench/'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(type='FasterCocoMetric', ann_file=data_root + 'val.json')
test_evaluator = val_evaluator
max_epochs = 3
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min_ratio=0.01, begin=0, end=max_epochs,
         by_epoch=True, convert_to_iter_based=True),
]
