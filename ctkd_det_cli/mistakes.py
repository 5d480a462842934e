"""Turns an exception into a sentence for the user."""
import difflib
import inspect
import re
from importlib.util import find_spec
from typing import Iterator, List, Optional

# whose errors are sentences already
OURS = ('ctkd_det', 'ctkd_det_data')
_UNREGISTERED = re.compile(r'^\W*([\w.]+) is not in the ([\w ]+)::([\w ]+) registry')
_UNEXPECTED = re.compile(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'")


def sentence(error: BaseException) -> str:
    """What an error says, with the nearest name if it is about an unknown one.

    Args:
        error (BaseException): For example a registry's KeyError for a
            misspelt ``type``, or the TypeError for an unknown argument.
    """
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip()
    unregistered, unexpected = _UNREGISTERED.search(text), _UNEXPECTED.search(text)
    if unregistered and '.' in unregistered.group(1):
        name, _, kind = unregistered.groups()
        package, about = name.partition('.')[0], f'the config has type={name!r}'
        if find_spec(package) is None:
            return (f'{about}, of the package {package}, which is not installed: '
                    f'pip install {package}')
        return (f'{about}, but there is no such class in {package}'
                + _nearest(name.rpartition('.')[2], _registered(kind)))
    if unregistered:
        name, _, kind = unregistered.groups()
        return (f'the config has type={name!r}, which is no {kind} that is registered'
                + _nearest(name, _registered(kind)) + '. Is its module in custom_imports?')
    if unexpected:
        owner, argument = unexpected.groups()
        return f'{owner} has no argument {argument!r}' + _nearest(argument, _arguments(owner))
    if isinstance(error, ImportError):
        missing = _missing_module(error)
        if missing:
            return (f'it needs the module {missing}, which is neither beside the config, nor in a '
                    'folder that PYTHONPATH=FOLDER names, nor installed; if it is a package: '
                    f'pip install {missing.partition(".")[0]}')
        return f'{text}. A module is found beside the config, or where it is installed'
    if text and type(error).__module__.partition('.')[0] in OURS:
        return text
    return f'{type(error).__name__}: {text}' if text else type(error).__name__


def _missing_module(error: Optional[BaseException]) -> str:
    """The module that an import, or one behind it, has not found."""
    return next((one.name for one in _behind(error)
                 if isinstance(one, ModuleNotFoundError) and one.name), '')


def is_interrupt(error: BaseException) -> bool:
    """Whether it is Ctrl-C, or what a library made of it: MMEngine's formatter a SyntaxError."""
    return any(isinstance(one, KeyboardInterrupt) for one in _behind(error))


def _behind(error: Optional[BaseException]) -> Iterator[BaseException]:
    """An error, the one that it was raised from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _nearest(name: str, names: List[str]) -> str:
    close = difflib.get_close_matches(name, set(names), n=3, cutoff=0.6)
    return f'; perhaps {" or ".join(close)}' if close else ''


def _registries() -> dict:
    from mmdet import registry
    return {value.name: value for value in vars(registry).values()
            if hasattr(value, 'module_dict')}


def _registered(kind: str) -> List[str]:
    """Names in mmdet's registry of this kind, and in mmengine's above it."""
    registry = _registries().get(kind)
    names: List[str] = []
    while registry is not None:
        names += registry.module_dict
        registry = registry.parent
    return names


def _arguments(owner: str) -> List[str]:
    cls: Optional[type] = next(
        (found for registry in _registries().values() if (found := registry.get(owner))), None)
    if cls is None:
        return []
    # **kwargs hand on to the base classes
    return [name for c in cls.__mro__ if c is not object
            for name in inspect.signature(c.__init__).parameters if name != 'self']
