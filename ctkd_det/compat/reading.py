"""Reads a checkpoint: restricted, checked for damage, with errors that name the file.

All code of this package reads checkpoints with this function.
:mod:`.checkpoints` makes mmengine's loader use it, too.
"""
import pickle
import re
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Optional, Union

import torch

from .contents import cleaned
from .names import check_names, is_archive
from .stand_ins import allow_stand_ins
from .unpickling import restricted_pickle

# since 2.6 torch's own restricted unpickler serves, and takes a list of what else is allowed
TORCH_RESTRICTS = torch.__version__ >= torch.torch_version.TorchVersion('2.6')

# how files of other formats begin, and what to say of them
_OTHERS = {
    b'\x1f\x8b': 'is compressed with gzip; unpack it first',
    b'\x89HDF': 'is an HDF5 file, as Keras writes them, not a checkpoint of PyTorch',
    b'\x08': 'is not a checkpoint; is it an ONNX model?',
    b'{': 'is a text in JSON, not a checkpoint',
    b'<': 'is a web page, not a checkpoint: what was downloaded is a message in HTML or XML'}


class CheckpointError(pickle.UnpicklingError, RuntimeError):
    """A checkpoint is refused or cannot be read; the message names it and the reason.

    Torch raises either of the two base classes for such files.
    """


def read_checkpoint(path: Union[str, Path], map_location: Any = 'cpu') -> dict:
    """Read a checkpoint of torch or mmengine without running anything in it.

    Args:
        path (str | Path): The file.
        map_location: As for ``torch.load``. Defaults to 'cpu'.

    Returns:
        dict: Its values, see :func:`~ctkd_det.compat.contents.cleaned`.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if it is damaged, no checkpoint, or contains more than
            values.
    """
    path = Path(path).expanduser()
    try:
        if not path.is_file():
            raise FileNotFoundError(f'{path} can not be found.')
        fault = find_fault(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CheckpointError(f'{path} cannot be read: {error.strerror}') from None
    if fault:
        raise CheckpointError(f'{path} {fault}')
    if TORCH_RESTRICTS:
        allow_stand_ins()  # another package may have allowed more since
    with explained(path):
        try:
            check_names(path)
            return cleaned(torch.load(path, map_location=map_location, **torch_options(path)))
        except (pickle.UnpicklingError, torch.cuda.OutOfMemoryError):
            raise
        except Exception as error:  # bytes that are no checkpoint can raise any error
            guess = '' if is_archive(path) else (
                ', it is probably truncated or not a checkpoint')
            raise CheckpointError(
                f'{path} cannot be read{guess} ({type(error).__name__}: {_short(error)})') from None


def torch_options(path: Optional[Path] = None) -> dict:
    """What makes ``torch.load`` restricted, whatever its version; None: the file has no path."""
    return (dict(weights_only=True) if TORCH_RESTRICTS else
            dict(pickle_module=restricted_pickle(path)))


@contextmanager
def explained(name: Union[str, Path]) -> Iterator[None]:
    """Turn torch's refusal into a :class:`CheckpointError` that names the file.

    Torch's own message also says how to load the file without a restriction.
    """
    try:
        yield
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f'{name} is refused: it is damaged, or contains more than weights and log values, '
            f'which could run code when loaded: {_short(error.__context__ or error)}. If it is '
            "your own: load it where you trust it, and save {'state_dict': ...} anew") from None


def find_fault(path: Path) -> Optional[str]:
    """Find what is wrong with a file, before anything in it is interpreted.

    A file that torch saves is an archive with a checksum for each tensor. Torch
    itself does not compare them. Older formats have no checksums.

    Returns:
        str or None: The end of a sentence that begins with the file's name.
    """
    with open(path, 'rb') as file:
        start = file.read(512)
    if not start:
        return 'is empty'
    if not start.strip(b'\0'):
        return 'begins with zeros: it was not written to its end'
    if start.startswith(b'version https://git-lfs'):
        return 'is a pointer of Git LFS, not the file itself; "git lfs pull" fetches that'
    if start[8:9] == b'{' and int.from_bytes(start[:8], 'little') < path.stat().st_size:
        return ('is in the format safetensors; make a checkpoint of it with '
                'torch.save(safetensors.torch.load_file(...), ...)')
    for beginning, fault in _OTHERS.items():
        if start.removeprefix(b'\xef\xbb\xbf').lstrip().startswith(beginning):
            return fault
    if start.startswith(b'PK'):
        return _fault_of_archive(path)
    if start[257:262] == b'ustar':
        return ('is in the tar format of 2017, which torch cannot load restricted; load it where '
                'you trust it, and save it anew')
    return None


def _fault_of_archive(path: Path) -> Optional[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [Path(name).name for name in archive.namelist()]
            if 'constants.pkl' in names:
                return 'is a TorchScript archive, which is code, not a checkpoint'
            if 'data.pkl' not in names:
                return 'is a zip archive, but none that torch.save writes'
            if sum(record.file_size for record in archive.infolist()) > path.stat().st_size:
                return 'is refused: it claims to hold more bytes than it has'
            damaged = archive.testzip()
    except Exception as error:  # bytes that are no archive can raise any error
        return f'is truncated or damaged: {_short(error)}'
    return damaged and f'is damaged: its part {damaged!r} does not agree with its checksum'


def _short(error: BaseException) -> str:
    """The first line of an error, without torch's advice to switch the restriction off."""
    text = next(iter(str(error).splitlines()), '') or type(error).__name__
    asked = re.search(r'GLOBAL (\S+)', text)
    if asked:
        text = f'it asks for {asked.group(1)}'
    text = text.replace(' or types allowlisted via `add_safe_globals`', '')
    text = re.split(r'In PyTorch 2\.6|Please |Re-running', text)[0].strip()
    return ''.join(c if c.isprintable() else '?' for c in text)[:300]
