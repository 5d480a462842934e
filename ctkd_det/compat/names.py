"""Which functions and classes a checkpoint may name at all, looked up before it is loaded.

Torch's restricted unpickler knows more than a checkpoint of MMDetection needs:
sparse tensors, whose indices it does not check, legacy constructors and
``bytearray``, which take any size. Where such a name is asked for, nothing of
the file is interpreted.
"""
import pickle
import pickletools
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from pathlib import Path
from typing import BinaryIO, Iterator

import torch

from .stand_ins import STAND_INS, allowed_by_others

_NAMES = frozenset((
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
    """Refuse a checkpoint that asks for anything else.

    Args:
        path (Path): A file in torch's format, an archive or the older one.

    Raises:
        pickle.UnpicklingError: if it does; the message names it. What a user
            has allowed with ``torch.serialization.add_safe_globals`` passes.
        Exception: if the file is no pickle.
    """
    allowed = _NAMES | {name for name in allowed_by_others() if not name.startswith('torch.')}
    for name in _names_of_file(path):
        if name not in allowed:
            raise pickle.UnpicklingError(f'it asks for {name}')


def _names_of_file(path: Path) -> Iterator[str]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            records = [r for r in archive.infolist() if r.filename.lower().endswith('data.pkl')]
            if len(records) != 1:  # torch might read the one that is not looked at
                raise pickle.UnpicklingError('it holds more than one pickle')
            with archive.open(records[0]) as stream:
                yield from _names(stream)
    else:
        with open(path, 'rb') as stream:
            for _ in range(5):  # magic number, version, system, content, names of the tensors
                yield from _names(stream)


def _names(stream: BinaryIO) -> Iterator[str]:
    """The names in one pickle, those of Python 2 as torch reads them."""
    for operation, argument, _ in pickletools.genops(stream):
        if operation.name == 'GLOBAL':
            module, _, name = argument.partition(' ')
            module, name = NAME_MAPPING.get(
                (module, name), (IMPORT_MAPPING.get(module, module), name))
            yield f'{module}.{name}'
