"""Validates a resumed model whose checkpoint was saved before its validation."""
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

# in the message hub: where the model was that was validated before its checkpoint was saved again;
# mmengine's log repeats what begins with 'val'
VALIDATED = 'saved_with_validation'


def validate_if_due(runner: Runner) -> None:
    """Validate a resumed model if its epoch was saved but not validated.

    A checkpoint is saved before its epoch is validated, and does not contain
    the result. Without this validation the score would be missing, and a
    later, worse checkpoint could become the best one. A checkpoint that was
    saved again, with the score of the new best one, does contain it: twice
    would be too often for ``ReduceOnPlateauLR``.
    """
    loop = runner.train_loop
    if isinstance(loop, EpochBasedTrainLoop):
        unit, done, end = 'epoch', runner.epoch, runner.max_epochs
        complete = runner.iter == done * len(runner.train_dataloader)
    elif isinstance(loop, IterBasedTrainLoop):
        unit, done, end, complete = 'iter', runner.iter, runner.max_iters, True
    else:
        return
    if runner.val_loop is None or not complete or done < max(loop.val_begin, 1):
        return
    validated = runner.message_hub.get_info(VALIDATED)
    if isinstance(validated, dict) and validated.get(unit) == done:
        return
    loop._decide_current_val_interval()
    if done % loop.val_interval == 0 or done == end:
        runner.val_loop.run()
