"""Stand-ins for classes in whose place a plain value serves: a dictionary, or a text.

A training puts them into its checkpoints: MMEngine a nested ``metainfo``, people
the version of torch and paths. Neither class is loaded.
"""
import pickle
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Sequence

_LONGEST = 4096  # characters of a path, as Linux counts them
_PRINTED = (str, bytes, int, float, bool, type, type(None))


def plain_dict(*args: Any) -> dict:
    """``ConfigDict({...})``: the dictionary itself, not a copy, of which few bytes could ask many.

    Raises:
        pickle.UnpicklingError: if it is made of anything but one dictionary.
    """
    if len(args) != 1 or type(args[0]) is not dict:
        raise refused('a ConfigDict of something else than a dictionary',
                      'mmengine does not save such a one')
    return args[0]


class VersionAsText:
    """``TorchVersion('2.6.0')``: its text. A class, because pickle makes it as one.

    Raises:
        pickle.UnpicklingError: if it is made of anything but one text.
    """

    def __new__(cls, *args: Any) -> str:
        """Refuse what no honest checkpoint contains."""
        if len(args) != 1 or type(args[0]) is not str:
            raise refused('a TorchVersion of something else than a text', 'torch saves a text')
        return args[0]


def posix_path_as_text(*parts: str) -> str:
    """``PosixPath('/', 'home')``: its text.

    Raises:
        pickle.UnpicklingError: if it is made of anything but texts, or is longer
            than a path can be.
    """
    return str(PurePosixPath(*_checked(parts)))


def windows_path_as_text(*parts: str) -> str:
    r"""``WindowsPath('C:\\', 'data')``: its text, on any system.

    Raises:
        pickle.UnpicklingError: see :func:`posix_path_as_text`.
    """
    return str(PureWindowsPath(*_checked(parts)))


def _checked(parts: Sequence[Any]) -> Sequence[str]:
    # a file can name one text many times, so that its bytes do not bound the length
    if len(parts) > _LONGEST or not all(type(part) is str for part in parts) or (
            sum(map(len, parts)) > _LONGEST):
        raise refused('a path of something else than texts', 'it is no path')
    return parts


def shown(*args: Any) -> str:
    """Arguments for a message. Of a container only the type: few bytes can hold an endless one."""
    texts = [repr(arg)[:40] if type(arg) in _PRINTED else type(arg).__name__ for arg in args[:4]]
    return ', '.join(texts + ['...'] * (len(args) > 4))


def refused(what: str, why: str) -> pickle.UnpicklingError:
    """The error of a stand-in."""
    return pickle.UnpicklingError(f'it asks for {what}, which is refused: {why}')


_PATHS = {'PosixPath': posix_path_as_text, 'PurePosixPath': posix_path_as_text,
          'WindowsPath': windows_path_as_text, 'PureWindowsPath': windows_path_as_text}
PLAIN_VALUES = {
    'mmengine.config.config.ConfigDict': plain_dict,
    'torch.torch_version.TorchVersion': VersionAsText,
    # Python 3.13 has moved them
    **{f'{module}.{name}': stand_in for module in ('pathlib', 'pathlib._local')
       for name, stand_in in _PATHS.items()},
}
