"""Hooks that guard a training: in place of mmengine's, or beside them."""
# by their full names, so that a plain student needs no custom_imports
safe_hooks = dict(
    checkpoint=dict(type='ctkd_det.hooks.SafeCheckpointHook'),
    finite=dict(type='ctkd_det.hooks.FiniteLossHook'),
    data=dict(type='ctkd_det.hooks.CheckDataHook'))
