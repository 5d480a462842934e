"""Checks, before a checkpoint is loaded, which functions and classes it names.

Torch's restricted unpickler allows more than a checkpoint of MMDetection needs:
sparse tensors, whose indices it does not check, and legacy constructors and
``bytearray``, which take any size. A file that names one of these is refused
before anything in it is interpreted.
"""
import io
import pickle
import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from pathlib import Path
from typing import BinaryIO, Iterator

import torch

from .stand_ins import STAND_INS, allowed_by_others

NAMES = frozenset((
    *STAND_INS, '_codecs.encode', 'builtins.complex', 'builtins.set', 'collections.Counter',
    'collections.OrderedDict', 'torch.Size', 'torch.device', 'torch.nn.parameter.Parameter',
    *(f'torch._utils.{name}' for name in (
        '_rebuild_tensor', '_rebuild_tensor_v2', '_rebuild_parameter',
        '_rebuild_parameter_with_state', '_rebuild_device_tensor_from_cpu_tensor')),
    *(f'torch.{device}{kind}Storage' for device in ('', 'cuda.') for kind in (
        'Float', 'Double', 'Half', 'BFloat16', 'Long', 'Int', 'Short', 'Char', 'Byte', 'Bool',
        'ComplexFloat', 'ComplexDouble')),
    *(str(value) for value in vars(torch).values() if isinstance(value, torch.dtype))))


def check_names(path: Path) -> None:
    """Refuse a checkpoint that names anything else.

    Args:
        path (Path): A file in torch's format, an archive or the older one.

    Raises:
        pickle.UnpicklingError: if it does; the message contains the name. A
            name that the user has allowed with
            ``torch.serialization.add_safe_globals`` is accepted.
        Exception: if the file is no pickle.
    """
    allowed = NAMES | {name for name in allowed_by_others() if not name.startswith('torch.')}
    for name in _names_of_file(path):
        if name not in allowed:
            raise pickle.UnpicklingError(f'it asks for {name}')


def _names_of_file(path: Path) -> Iterator[str]:
    if is_archive(path):
        # torch's own reader, because another one might find another record under the same name
        yield from _names(io.BytesIO(torch._C.PyTorchFileReader(str(path)).get_record('data.pkl')))
    else:
        with open(path, 'rb') as stream:
            for _ in range(5):  # magic number, version, system, content, names of the tensors
                yield from _names(stream)


def is_archive(path: Path) -> bool:
    """Whether torch reads the file as an archive, which its first bytes decide."""
    with open(path, 'rb') as file:
        return file.read(4) == b'PK\x03\x04'


def _names(stream: BinaryIO) -> Iterator[str]:
    """The names in one pickle, those of Python 2 as torch reads them."""
    for operation, argument, _ in pickletools.genops(stream):
        if operation.name == 'GLOBAL':
            module, _, name = argument.partition(' ')
            yield in_python_3(module, name)


def in_python_3(module: str, name: str) -> str:
    """The full name of what a file may call by its name in Python 2."""
    return '.'.join(NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name)))
