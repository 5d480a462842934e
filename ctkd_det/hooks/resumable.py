"""Compares a checkpoint with the training that resumes it, or begins with its weights."""
from collections import defaultdict
from typing import Dict, Iterable, List, Optional, Set, Tuple

from mmengine.runner import Runner

from ..models.distilled_config import is_beside_student
from .checkpoint_files import SavingError
from .unwrapped import detector_of


def check_resumable(runner: Runner, checkpoint: dict, with_optimizer: bool) -> None:
    """Refuse to resume from weights alone, from those of another model, or with other losses.

    MMEngine would begin learning rate and momentum anew, in silence, from a
    best checkpoint, and end with a ``KeyError`` for other weights. It would go
    on with random weights where those of another model do not fit. torch
    refuses other parameters without a name.

    Args:
        runner (Runner): Which resumes.
        checkpoint (dict): As loaded.
        with_optimizer (bool): Whether the training saves the optimizer's state.

    Raises:
        SavingError: if progress or, though it is saved, the optimizer's state
            is missing; if weights of the model are missing or of other shapes;
            or if the optimizer's state is of more or fewer parameters, as
            after a loss that learns something was added.
    """
    needed = ['meta', 'message_hub']
    plain = isinstance(runner, Runner)  # a strategy may keep it elsewhere
    if with_optimizer and plain:
        needed.append('optimizer')
    missing = [name for name in needed if name not in checkpoint]
    if not missing:
        missing = [name for name in ('epoch', 'iter') if name not in checkpoint['meta']]
    if missing:
        raise SavingError(
            f'{runner._load_from} cannot be resumed: it has no {" and no ".join(missing)}. Best '
            'checkpoints (best_*.pth) and exported ones have weights only. --resume without a file '
            'takes the newest checkpoint that can be resumed; to begin a new training with these '
            'weights: load_from')
    lacking, number = _lacking(runner, checkpoint) if plain else ([], 0)
    if lacking:
        raise SavingError(
            f'{runner._load_from} cannot be resumed: it is of another model. {len(lacking)} of '
            f"this one's {number} weights are missing there or have another shape, {lacking[0]} "
            'among them. Resume it with its own config; to begin a new training with those of its '
            'weights that fit: load_from')
    old, new = param_groups(runner, checkpoint)
    if plain and with_optimizer and old and new and [len(group['params']) for group in old] != [
            len(group['params']) for group in new]:
        raise SavingError(
            f"{runner._load_from} cannot be resumed: its optimizer's state is of other parameters, "
            f'or of other groups of them, than this training has{_other_losses(runner, checkpoint)}'
            '. Resume it with its own config; to begin a new training with its weights: load_from')


def warn_of_missing_weights(runner: Runner, checkpoint: dict) -> None:
    """Say how many weights a training that begins with ``load_from`` does not find there.

    MMEngine names each in its log, among the other lines, and begins with random ones.
    """
    if not isinstance(runner, Runner):
        return
    lacking, number = _lacking(
        runner, checkpoint if 'state_dict' in checkpoint else dict(state_dict=checkpoint))
    if lacking:
        runner.logger.warning(
            f'load_from {runner._load_from}: {len(lacking)} of the {number} weights of the '
            f'detector are missing there or have another shape, {lacking[0]} among them. They '
            'keep their initial values')


def _lacking(runner: Runner, checkpoint: dict) -> Tuple[List[str], int]:
    """Weights that the checkpoint lacks or has in other shapes, and the number of all.

    What a distilled student has for its losses is left to the next check, which names them.
    """
    saved, weights = ({
        # torch.compile adds a part to the name
        name.removeprefix('module.').replace('_orig_mod.', ''): getattr(value, 'shape', None)
        for name, value in state.items()
        # torch loads old weights of BatchNorm without the count
        if not is_beside_student(name) and not name.endswith('num_batches_tracked')
    } for state in (checkpoint.get('state_dict', {}), detector_of(runner.model).state_dict()))
    return [name for name, shape in weights.items() if saved.get(name) != shape], len(weights)


def param_groups(runner: Runner, checkpoint: dict) -> List[Optional[list]]:
    """The optimizer's groups of the checkpoint and of the training; None where they are not known.
    """
    groups = [checkpoint.get('optimizer', {}).get('param_groups'),
              getattr(getattr(runner.optim_wrapper, 'optimizer', None), 'param_groups', None)]
    return [each if isinstance(each, list) else None for each in groups]


def _other_losses(runner: Runner, checkpoint: dict) -> str:
    """Which losses have a state in one of both only, or another one, as the end of a clause."""
    old, new = (_states(weights) for weights in (
        checkpoint.get('state_dict', {}), detector_of(runner.model).state_dict()))
    kinds = {'new': new.keys() - old.keys(), 'gone': old.keys() - new.keys(),
             'changed': {name for name in old.keys() & new.keys() if old[name] != new[name]}}
    said = [f'{kind}: {", ".join(sorted(names))}' for kind, names in kinds.items() if names]
    return f' (losses: {"; ".join(said)})' if said else ''


def _states(weights: Iterable[str]) -> Dict[str, Set[str]]:
    """Of each loss the names of what it learns or keeps, among the weights of a detector."""
    found = defaultdict(set)
    for weight in weights:
        before, mark, after = weight.partition('distill_losses.')
        loss, dot, name = after.partition('.')
        if mark and dot and before in ('', 'module.'):
            found[loss].add(name)
    return found
