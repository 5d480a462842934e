"""TTM: the teacher alone is softened, and there is no factor of the temperature.

The published example for CIFAR-100 has a temperature of 10 and a weight of 45. The student itself
is to be as soft as the softened teacher, and a detector's scores are its probabilities, so here it
is 2 at the weight of the other recipes.
"""
custom_imports = dict(imports=['ctkd_det'], allow_failed_imports=False)
custom_hooks = [dict(type='CheckDataHook')]
distill_losses = dict(
    loss_ttm=dict(type='KDLoss', temperature=2.0, soften='teacher', foreground_weight=0.5))
