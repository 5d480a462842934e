"""A restricted unpickler for torch before 2.6, whose own does not accept the stand-ins.

``torch.load`` uses it in place of the module ``pickle``. As in later versions of
torch, a file can name what is in a list, call nothing else, and set the state of
a few classes only.
"""
import pickle
from collections import OrderedDict
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, Optional

import torch

from .names import NAMES, in_python_3, is_archive
from .stand_ins import STAND_INS, StoredArray, StoredDtype, StoredHistory

# what torch.save writes
_OPERATIONS = (
    'PROTO', 'STOP', 'MARK', 'NONE', 'NEWTRUE', 'NEWFALSE', 'BININT', 'BININT1', 'BININT2',
    'LONG1', 'BINFLOAT', 'BINUNICODE', 'SHORT_BINSTRING', 'GLOBAL', 'TUPLE', 'TUPLE1',
    'TUPLE2', 'TUPLE3', 'EMPTY_TUPLE', 'EMPTY_LIST', 'EMPTY_DICT', 'EMPTY_SET', 'APPEND',
    'APPENDS', 'SETITEM', 'SETITEMS', 'BINGET', 'LONG_BINGET', 'BINPUT', 'LONG_BINPUT',
    'BINPERSID', 'REDUCE', 'NEWOBJ', 'BUILD')
_WITH_STATE = (StoredArray, StoredDtype, StoredHistory)


def _allowed() -> Dict[str, Any]:
    found = {}
    for full_name in NAMES - STAND_INS.keys():
        module, _, name = full_name.rpartition('.')
        # torch itself answers for the names of storages; not every version has every function
        if not name.endswith('Storage') and hasattr(import_module(module), name):
            found[full_name] = getattr(import_module(module), name)
    return {**found, **STAND_INS}


_ALLOWED = _allowed()
_CALLABLE = {id(value) for value in _ALLOWED.values()}


def restricted_pickle(path: Optional[Path] = None) -> SimpleNamespace:
    """What ``torch.load`` takes as ``pickle_module``.

    Args:
        path (Path, optional): The file, whose bytes no tensor may exceed.
            Defaults to None, where it has no path.
    """
    records = torch._C.PyTorchFileReader(str(path)) if path and is_archive(path) else None
    unpickler = type('Unpickler', (_Unpickler, ), dict(records=records))
    return SimpleNamespace(
        __name__=__name__, Unpickler=unpickler,
        load=lambda file, **options: unpickler(file, **options).load())


class _Unpickler(pickle._Unpickler):
    """Raises ``pickle.UnpicklingError`` for whatever is not in the list."""
    records: Optional[Any] = None

    def find_class(self, module: str, name: str) -> Any:
        """What the list has under the name."""
        full_name = in_python_3(module, name)
        if full_name not in _ALLOWED:
            raise pickle.UnpicklingError(f'it asks for {full_name}')
        return _ALLOWED[full_name]

    def load_reduce(self) -> None:
        """Call a function of the list."""
        self._check_call(self.stack[-2])
        super().load_reduce()

    def load_newobj(self) -> None:
        """Make an object of a class of the list."""
        self._check_call(self.stack[-2])
        super().load_newobj()

    def load_build(self) -> None:
        """Set the state of a stand-in, or the attributes of an ordered dictionary."""
        state, value = self.stack[-1], self.stack[-2]
        if type(value) not in _WITH_STATE and not (
                type(value) is OrderedDict and type(state) is dict):
            raise pickle.UnpicklingError(f'it sets the state of a {type(value).__name__}')
        super().load_build()

    def load_binpersid(self) -> None:
        """Take a storage, which must not be larger than its bytes in the file."""
        if self.records is not None:
            _, kind, key, _, number = self.stack[-1]
            size = 1 if kind is torch.UntypedStorage else torch._utils._element_size(kind.dtype)
            if number * size > len(self.records.get_record(f'data/{key}')):
                raise pickle.UnpicklingError('it holds a tensor that is larger than its bytes')
        super().load_binpersid()

    def _check_call(self, function: Any) -> None:
        if id(function) not in _CALLABLE:
            raise pickle.UnpicklingError(f'it calls {function!r}')

    dispatch = {getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]]
                for name in _OPERATIONS}
    dispatch.update({pickle.REDUCE[0]: load_reduce, pickle.NEWOBJ[0]: load_newobj,
                     pickle.BUILD[0]: load_build, pickle.BINPERSID[0]: load_binpersid})
