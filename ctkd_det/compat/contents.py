"""Reduces the content of a checkpoint to values: no code, and no text that would be run."""
import pickle
from typing import Any, Dict, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from .stand_ins import SCHEDULE_FUNCTIONS, StoredArray, StoredDtype, StoredHistory

# Texts that others run as Python: mmengine's Runner when it resumes (meta.config, which only
# mmdet 2.x has written), mmengine's and mmdet's inferencers (the other two)
CODE_TEXTS = (('meta', 'config'), ('meta', 'cfg'), ('message_hub', 'runtime_info', 'cfg'))
# where in ``meta`` the text of its config is kept: nobody runs what stands there
UNUSED_TEXT = 'config_to_compare'
_DICTIONARIES = (('state_dict', ), ('meta', ), ('meta', 'dataset_meta'), ('message_hub', ),
                 ('message_hub', 'runtime_info'))


def cleaned(checkpoint: Any) -> dict:
    """Reduce a checkpoint to values, without the texts that would be run.

    The stand-ins for numpy's classes become plain arrays. The text of a config
    is taken from where mmengine would run it. Even a config that contains only
    values can name any function as a ``type``. That of ``meta`` stays under
    :data:`UNUSED_TEXT`, to be compared with another.

    Args:
        checkpoint: The object that torch has loaded; it is changed in place.

    Returns:
        dict: The same checkpoint.

    Raises:
        pickle.UnpicklingError: if it is no dictionary of weights, or contains
            functions or classes.
    """
    if not isinstance(checkpoint, dict):
        raise pickle.UnpicklingError(
            f'it holds a {type(checkpoint).__name__}, not a dictionary of weights')
    _plain(checkpoint, {})
    for path in _DICTIONARIES:
        *parents, name = path
        parent = _at(checkpoint, parents)
        if name != 'state_dict' and parent.get(name, {}) is None:
            del parent[name]  # a file that was saved by hand
        if not isinstance(_at(checkpoint, path), dict):
            raise pickle.UnpicklingError(f'its {".".join(path)} is a '
                                         f'{type(_at(checkpoint, path)).__name__}, no dictionary')
    for key in checkpoint.get('state_dict', checkpoint):
        if not is_name_of_weight(key):
            raise pickle.UnpicklingError(f'{ascii(key)} is no name of a weight')
    for *path, name in CODE_TEXTS:
        text = _at(checkpoint, path).pop(name, None)
        if path == ['meta'] and isinstance(text, str):
            checkpoint['meta'][UNUSED_TEXT] = text
    return checkpoint


def is_name_of_weight(key: Any) -> bool:
    """Whether it can be one: names are printed, and a terminal obeys control characters."""
    return isinstance(key, str) and key.isprintable()


def _at(checkpoint: dict, path: Sequence[str]) -> Any:
    """The value at a path of keys, or an empty dictionary."""
    for key in path:
        checkpoint = checkpoint.get(key, {})
    return checkpoint


def _plain(value: Any, seen: Dict[int, Tuple[Any, Any]]) -> Any:
    """The value with plain arrays in place of stand-ins; containers are changed in place.

    Args:
        value: Of the checkpoint.
        seen (dict): Containers and what they became, by their ids. Few bytes can hold a tuple
            of a tuple ... twice each, which to walk through without it has no end.
    """
    if isinstance(value, StoredArray):
        return np.array(value)
    if isinstance(value, StoredDtype):
        return value.dtype
    if callable(value) or isinstance(value, StoredHistory):
        raise pickle.UnpicklingError(
            f'it holds {getattr(value, "__name__", type(value).__name__)} itself, '
            'which is no value')
    if id(value) in seen:
        return seen[id(value)][1]
    if type(value) is tuple:
        plain = tuple(_plain(item, seen) for item in value)
        seen[id(value)] = value, plain
        return plain
    if isinstance(value, (dict, list, set, Tensor)):
        seen[id(value)] = value, value
        _clean_inside(value, seen)
    return value


def _clean_inside(value: Union[dict, list, set, Tensor],
                  seen: Dict[int, Tuple[Any, Any]]) -> None:
    if isinstance(value, list):
        value[:] = [_plain(item, seen) for item in value]
    elif isinstance(value, dict):
        # the state of a OneCycleLR
        if any(dict.get(value, 'anneal_func') is function for function in SCHEDULE_FUNCTIONS):
            del value['anneal_func']
        for key in list(value):
            _plain(key, seen)
            value[key] = _plain(value[key], seen)
        # a file may set attributes, methods among them; torch saves and reads this one
        attributes = getattr(value, '__dict__', {})
        metadata = _plain(attributes.get('_metadata'), seen)
        attributes.clear()
        if metadata is not None:
            value._metadata = metadata
    else:
        if isinstance(value, Tensor) and (value.layout is not torch.strided or value.is_quantized):
            # the indices of a sparse one are not checked
            raise pickle.UnpicklingError(f'it holds a tensor of layout {value.layout}')
        for item in value if isinstance(value, set) else (
                *vars(value).values(), value._backward_hooks):
            _plain(item, seen)
