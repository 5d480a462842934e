"""Finds a teacher's weights among what a checkpoint holds under other names, or twice."""
from typing import Any, Collection, Dict, List, Tuple

from torch import Tensor

from ...compat.contents import is_name_of_weight
from ..distilled_config import is_beside_student

# what wrappers put before the names: DDP, mmdet's semi-supervised detectors, mmrazor
_PREFIXES = ('module.', 'student.', 'architecture.')
_COMPILED = '_orig_mod.'  # torch.compile, before the name or inside it
_EMA = 'ema_'
_COUNTER = 'num_batches_tracked'

Weights = Dict[str, Tensor]


def weights_of(checkpoint: dict, wanted: Collection[str]) -> Tuple[Weights, List[str]]:
    """The weights of a checkpoint: of its ``state_dict``, of itself, or of one of its entries.

    Files that were saved by hand have them under ``model``, ``net``, ``params``
    or any other name: ``torch.save({'model': model.state_dict(), 'epoch': 3})``.

    Args:
        checkpoint (dict): As loaded.
        wanted (Collection[str]): Names of the detector's own weights.

    Returns:
        tuple: As :func:`find_weights`.

    Raises:
        ValueError: if several entries hold these weights, or see
            :func:`find_weights`.
    """
    if 'state_dict' in checkpoint or any(name in checkpoint for name in wanted) or (
            _complete(checkpoint, wanted)):
        return find_weights(checkpoint.get('state_dict', checkpoint), wanted)
    entries = [name for name, value in checkpoint.items() if isinstance(value, dict)
               and all(map(is_name_of_weight, value)) and _complete(_own(value), wanted)]
    if len(entries) > 1:
        raise ValueError(f'holds {len(entries)} sets of these weights, in its entries '
                         f"{' and '.join(entries)}: save {{'state_dict': ...}} of the one that is "
                         'to teach')
    if not entries:
        return find_weights(checkpoint, wanted)
    weights, notes = find_weights(checkpoint[entries[0]], wanted)
    return weights, [f'weights in its entry {entries[0]!r}', *notes]


def find_weights(state_dict: Weights, wanted: Collection[str]) -> Tuple[Weights, List[str]]:
    """The weights of a detector, under its own names.

    A prefix that all of them have is taken off, and what lies beside them is
    left out. Of weights that are there twice, as the EMA hooks of MMDetection
    2.x save them, the averages are taken. A distilled student may teach in
    turn: its losses' weights are left out. Whether the weights fit is for
    ``load_state_dict`` to say.

    Args:
        state_dict (dict[str, Tensor]): Of a checkpoint.
        wanted (Collection[str]): Names of the detector's own weights.

    Returns:
        tuple: The weights by name, and for each thing that was done a
        sentence for the log.

    Raises:
        ValueError: if there are several such sets, as of the student and the
            teacher of a semi-supervised training.
    """
    weights = _own(state_dict)
    notes = []
    if any(_COMPILED in key for key in state_dict):
        notes.append(f'weights of a compiled model: {_COMPILED} is taken off their names')
    prefix = _prefix(weights, wanted)
    if prefix:
        beside = [key for key in weights if not key.startswith(prefix)]
        weights = {key[len(prefix):]: value for key, value in weights.items()
                   if key.startswith(prefix)}
        notes.append(f'weights under {prefix}, which is taken off their names'
                     + (f'; {len(beside)} others are left out' if beside else ''))
    return _averages(weights, wanted, notes)


def _own(state_dict: Weights) -> Weights:
    """Without what a distilled student has besides, and what ``torch.compile`` adds to names."""
    return {key.replace(_COMPILED, ''): value for key, value in state_dict.items()
            if not is_beside_student(key)}


def _complete(weights: Weights, wanted: Collection[str]) -> List[str]:
    """What stands before the names of all that is wanted, once for each set of them."""
    probe = max(wanted, key=len, default='')
    found = {key[:-len(probe)] for key in weights if probe and key.endswith(probe)}
    return sorted(prefix for prefix in found if prefix[-1:] in ('', '.')
                  and all(prefix + name in weights for name in wanted))


def _prefix(weights: Weights, wanted: Collection[str]) -> str:
    """What stands before the names of all that is wanted; failing that, before most names."""
    complete = _complete(weights, wanted)
    if '' in complete:
        return ''
    if len(complete) > 1:
        raise ValueError(f'holds {len(complete)} sets of these weights, under '
                         f'{" and ".join(complete)}: save the one that is to teach by itself')
    if complete:
        return complete[0]
    prefix = ''
    for _ in _PREFIXES:
        prefix += next((p for p in _PREFIXES
                        if sum(key.startswith(prefix + p) for key in weights) * 2 > len(weights)),
                       '')
    return prefix


def _averages(weights: Weights, wanted: Collection[str],
              notes: List[str]) -> Tuple[Weights, List[str]]:
    """Take the averaged ones of weights that are there twice.

    These hooks swap both sets before they evaluate, so the names say which are
    the averages only if the checkpoint was saved before that. mmdet's hooks
    keep buffers too, but do not average counters: the set that has counted no
    steps is the averages'. Where no counter counts (frozen batch norms), mmdet's
    own configs have swapped before they save. mmcv's keep parameters only, and
    do not say.
    """
    twins = {name: f'{_EMA}{name.replace(".", "_")}' for name in wanted}
    twins = {name: twin for name, twin in twins.items() if twin in weights}
    if not twins:
        return weights, notes
    steps = [(weights[name], weights[twin]) for name, twin in twins.items()
             if name.endswith(_COUNTER) and _is_number(weights.get(name))
             and _is_number(weights[twin])]
    known = any((plain != other).any() for plain, other in steps)
    swapped = any((plain < other).any() for plain, other in steps) if known else bool(steps)
    if not swapped:
        weights = {**weights, **{name: weights[twin] for name, twin in twins.items()}}
    where = 'the other ones, swapped before they were saved' if swapped else f'those under {_EMA}'
    notes.append('weights that are there twice, by an EMA hook of MMDetection 2.x: '
                 + (f'the averages are taken, {where}' if known else
                    f'nothing tells which are the averages; taken are {where}. If these are not '
                    'the averages, give a file with one of the two'))
    return {name: value for name, value in weights.items()
            if not name.startswith(_EMA) or name in wanted}, notes


def _is_number(value: Any) -> bool:
    """Whether it is a counter that can be compared; a file may hold anything under its name."""
    return isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex()
