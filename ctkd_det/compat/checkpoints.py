"""Loading mmengine's checkpoints on torch >= 2.6, safely.

Since 2.6 ``torch.load`` unpickles tensors and plain containers only, and
refuses mmengine's own checkpoints because of the ``HistoryBuffer`` objects
(curves of the log) and numpy values in them. The few classes concerned are
allowed here by name; everything else, code above all, stays refused.
"""
import functools
import pickle

import mmengine.runner.checkpoint
import numpy as np
import torch
from mmengine.logging import HistoryBuffer

# numpy 2 renamed numpy.core; files written by either must load under both
_NUMPY_MODULES = ('numpy.core.multiarray', 'numpy._core.multiarray')
_DTYPES = ('float64', 'float32', 'float16', 'int64', 'int32', 'int16', 'int8', 'uint8', 'bool')
_HISTORY_METHODS = ('mean', 'max', 'min', 'current')


def allow_mmengine_checkpoints() -> None:
    """Allow-list what an honest mmengine checkpoint contains.

    Before torch 2.6 loading is not restricted and nothing has to be allowed.
    """
    if torch.__version__ >= torch.torch_version.TorchVersion('2.6'):
        torch.serialization.add_safe_globals(_safe_globals())
        # torch.load restricts by default; what fetches from a URL still has to be told
        mmengine.runner.checkpoint.load_url = functools.partial(
            torch.hub.load_state_dict_from_url, weights_only=True)


def _safe_globals() -> list:
    numpy_functions = [np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]]
    return [
        HistoryBuffer, np.ndarray, np.dtype, *(type(np.dtype(name)) for name in _DTYPES),
        *((function, f'{module}.{function.__name__}')
          for module in _NUMPY_MODULES for function in numpy_functions),
        # HistoryBuffer pickles its own methods as getattr(HistoryBuffer, name)
        (restricted_getattr, 'builtins.getattr'),
    ]


def restricted_getattr(obj, name: str):
    """``getattr`` for the four statistics of HistoryBuffer and nothing else.

    Raises:
        pickle.UnpicklingError: for any other object or attribute.
    """
    if obj is HistoryBuffer and name in _HISTORY_METHODS:
        return getattr(obj, name)
    raise pickle.UnpicklingError(
        f'the checkpoint asks for getattr({obj!r}, {name!r}), which is refused: '
        'only the statistics of HistoryBuffer may be looked up')
