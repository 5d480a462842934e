"""The second bench from scratch: see bench_scratch_student.py."""
_base_ = './bench_b_warm_student.py'
max_epochs = 16
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', eta_min_ratio=0.01, begin=0, end=max_epochs,
         by_epoch=True, convert_to_iter_based=True),
]
