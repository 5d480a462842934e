"""The bench's trunk: the student alone for 12 epochs at a constant learning rate."""
_base_ = './student.py'
data_root = 'data/shapes_bench/'
train_dataloader = dict(dataset=dict(data_root=data_root))
max_epochs = 12
train_cfg = dict(max_epochs=max_epochs)
# the branches are what is validated
val_cfg = val_dataloader = val_evaluator = None
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200)
]
