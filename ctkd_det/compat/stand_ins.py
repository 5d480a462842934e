"""Stand-ins for the classes and functions that mmengine's checkpoints name.

Torch's restricted unpickler calls an allowed function with any arguments that a
file gives, and sets any state. With numpy's real constructors a file can forge
pointers (``ndarray((1,), dtype('O'), buffer=...)``, or a data type whose flags
say that its numbers are references). HistoryBuffer's real ``__setstate__``
writes into a dictionary of functions that the whole class shares. Each stand-in
accepts exactly what an honest file of numpy 1 or 2 contains, and refuses the
rest.
"""
import math
from typing import Any, Callable, Dict, Union

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler import OneCycleParamScheduler

from .plain_values import PLAIN_VALUES, refused, shown

_PLAIN_TYPES = frozenset(
    ('b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8', 'c8', 'c16'))
_MOST_DIMENSIONS = 32


class StoredDtype:
    """``numpy.dtype(code, align, copy)``, for plain numbers only, as numpy saves them.

    Attributes:
        dtype (numpy.dtype): The real one; a file cannot reach it.

    Raises:
        pickle.UnpicklingError: for any other type of data, and any other state
            than a byte order.
    """

    def __new__(cls, *args: Any) -> 'StoredDtype':
        """Refuse what no honest checkpoint contains."""
        code = args[0] if args else None
        if type(code) is not str or code not in _PLAIN_TYPES or args[1:] != (False, True):
            raise refused(f'numpy.dtype({shown(*args)})', 'only plain numbers may be loaded')
        stored = super().__new__(cls)
        stored.dtype = np.dtype(code)
        return stored

    def __setstate__(self, state: tuple) -> None:
        # (version, byte order, and what structured, sub-array and flexible types have besides)
        if type(state) is not tuple or state[2:] != (None, None, None, -1, -1, 0) or (
                state[1] not in ('<', '>', '|', '=')):
            raise refused('a numpy.dtype with more than a byte order', 'it is no plain number')
        self.dtype = self.dtype.newbyteorder(state[1])

    def __reduce__(self) -> Union[str, tuple]:
        return self.dtype.__reduce__()


class StoredArray(np.ndarray):
    """``numpy.ndarray`` as ``_reconstruct`` makes it: empty, then filled once from bytes.

    :func:`~ctkd_det.compat.contents.cleaned` replaces it by a plain array. It
    also becomes a plain array when it is saved again.

    Raises:
        pickle.UnpicklingError: for any other state than a shape, a
            :class:`StoredDtype` and exactly as many bytes as they need.
    """

    def __new__(cls, *args: Any) -> 'StoredArray':
        """Refuse what no honest checkpoint contains."""
        if args:
            raise refused('numpy.ndarray with arguments', 'it could reach other memory')
        return super().__new__(cls, (0, ), np.int8)

    def __setstate__(self, state: tuple) -> None:
        if type(state) is not tuple or len(state) != 5 or getattr(self, '_filled', False):
            # filling it twice would free memory that a tensor may share
            raise refused('an array with an unknown state', 'numpy does not save such a one')
        _, shape, stored, fortran, data = state
        if type(stored) is not StoredDtype or type(data) is not bytes or not _fits(
                shape, stored.dtype.itemsize, len(data)):
            raise refused('an array of another size than its numbers have',
                          'it would reach other memory')
        super().__setstate__((1, shape, stored.dtype, fortran is True, data))
        self._filled = True

    def __reduce__(self) -> Union[str, tuple]:
        return np.array(self).__reduce__()


def _fits(shape: Any, itemsize: int, num_bytes: int) -> bool:
    if type(shape) is not tuple or len(shape) > _MOST_DIMENSIONS or not all(
            type(n) is int and n >= 0 for n in shape):
        return False
    # an empty array may still have other sides, as long as numpy can count them
    return (math.prod(shape) * itemsize == num_bytes
            and math.prod(max(n, 1) for n in shape) * itemsize < 2**48)


def reconstruct(subtype: type, shape: tuple, code: bytes) -> StoredArray:
    """``_reconstruct``: make the empty array that its state then fills.

    Raises:
        pickle.UnpicklingError: if anything else is asked for.
    """
    if subtype is not StoredArray or shape != (0, ) or code != b'b':
        raise refused('an array that is not empty', 'numpy makes an empty one first')
    return StoredArray()


def scalar(stored: StoredDtype, data: bytes) -> np.generic:
    """``multiarray.scalar``: make a number from its bytes.

    Raises:
        pickle.UnpicklingError: if the bytes are not those of one plain number.
    """
    if type(stored) is not StoredDtype or type(data) is not bytes or (
            len(data) != stored.dtype.itemsize):
        raise refused('a number of another size than its type has', 'it is no plain number')
    return np.frombuffer(data, stored.dtype)[0]


def empty_bytes(*args: Any) -> bytes:
    """``bytes()``: the saved content of an empty array.

    Raises:
        pickle.UnpicklingError: if there are arguments, a size for instance.
    """
    if args:
        raise refused(f'bytes({shown(*args)})', 'content is not saved like that')
    return b''


class StoredHistory(HistoryBuffer):
    """HistoryBuffer of two curves. It does not read the statistics that a file names.

    mmengine's class puts them into a dictionary that all buffers share. Every
    later line of the log would call them.

    Raises:
        pickle.UnpicklingError: if its state is not two curves of one length.
    """

    def __new__(cls) -> 'StoredHistory':
        """Refuse what no honest checkpoint contains."""
        buffer = super().__new__(cls)
        HistoryBuffer.__init__(buffer)
        return buffer

    def __setstate__(self, state: dict) -> None:
        values, counts, most = map(
            state.get, ('_log_history', '_count_history', 'max_length')) if (
                type(state) is dict) else (None, None, None)
        if not (type(values) is type(counts) is StoredArray and values.ndim == 1
                and values.shape == counts.shape and type(most) is int and most > 0):
            raise refused('a HistoryBuffer with an unknown state', 'it is not two curves')
        self._log_history, self._count_history = np.array(values), np.array(counts)
        self.max_length = most
        self.__class__ = HistoryBuffer


class StoredSchedule:
    """``OneCycleParamScheduler``, of which a state names one of two functions, and no more.

    Raises:
        pickle.UnpicklingError: if one is to be made.
    """

    def __new__(cls, *args: Any) -> 'StoredSchedule':
        """Refuse it: mmengine saves the state of a schedule, never the schedule."""
        raise refused('a OneCycleParamScheduler itself', 'a checkpoint holds its state only')


# what may be looked up: names, of the class behind a stand-in
_LOOKED_UP = (
    (StoredHistory, HistoryBuffer, ('mean', 'max', 'min', 'current')),
    (StoredSchedule, OneCycleParamScheduler, ('_annealing_cos', '_annealing_linear')))
# :func:`~ctkd_det.compat.contents.cleaned` drops them, and a schedule keeps those of its config
SCHEDULE_FUNCTIONS = tuple(getattr(OneCycleParamScheduler, name) for name in _LOOKED_UP[1][2])


def restricted_getattr(obj: Any, name: str) -> Callable:
    """``getattr`` for four statistics of HistoryBuffer, two curves of OneCycleLR and no more.

    Raises:
        pickle.UnpicklingError: for any other object or attribute.
    """
    for stand_in, owner, names in _LOOKED_UP:
        if (obj is stand_in or obj is owner) and type(name) is str and name in names:
            return getattr(owner, name)
    raise refused(f'getattr({shown(obj, name)})',
                  'only functions of HistoryBuffer and OneCycleLR may be looked up')


# numpy 2 renamed numpy.core; files written by either must load under both
STAND_INS = {
    'numpy.ndarray': StoredArray,
    'numpy.dtype': StoredDtype,
    'numpy.core.multiarray._reconstruct': reconstruct,
    'numpy._core.multiarray._reconstruct': reconstruct,
    'numpy.core.multiarray.scalar': scalar,
    'numpy._core.multiarray.scalar': scalar,
    'mmengine.logging.history_buffer.HistoryBuffer': StoredHistory,
    'mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler': StoredSchedule,
    # both classes pickle their own functions as getattr(HistoryBuffer, name)
    'builtins.getattr': restricted_getattr,
    'builtins.bytes': empty_bytes,
    **PLAIN_VALUES,
}


# torch has such a list since 2.4
_safe_globals = getattr(torch.serialization, 'get_safe_globals', list)


def allow_stand_ins() -> None:
    """Allow the stand-ins, and nothing else under their names.

    Other packages may have allowed numpy's real classes. If two entries have
    one name, it is not defined which of them torch takes.
    """
    others = list(allowed_by_others().values())
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(
        others + [(stand_in, name) for name, stand_in in STAND_INS.items()])


def allowed_by_others() -> Dict[str, Any]:
    """Entries of torch's list besides ours, by the name under which a file asks for them."""
    entries = {allowed[1] if isinstance(allowed, tuple) else
               f'{allowed.__module__}.{allowed.__qualname__}': allowed
               for allowed in _safe_globals()}
    return {name: allowed for name, allowed in entries.items() if name not in STAND_INS}
