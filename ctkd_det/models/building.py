"""Builds a part that a config names, and says what exists where a name is misspelt."""
import difflib
import inspect
from typing import Iterable, List

from mmdet.registry import MODELS
from torch import nn

from ..configs import registered_class

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def build_part(config: dict, what: str) -> nn.Module:
    """Build a registered module from its config.

    Args:
        config (dict): Its ``type`` and arguments; it is not changed.
        what (str): What to call it in messages, as its key in the user's config.

    Raises:
        ValueError: if nothing of this type is registered; the message names
            the nearest. Or what its constructor raises, after ``what``.
        TypeError: if it does not take one of the arguments, likewise, or
            lacks one.
    """
    if 'type' not in config:
        raise ValueError(f'{what} has no type: {dict(config)}')
    cls = registered_class(MODELS, config['type'])
    if cls is None:
        raise ValueError(f'{what}: there is no type {config["type"]!r}'
                         f'{nearest(config["type"], MODELS.module_dict)}. A type of your own must '
                         'be imported: custom_imports')
    try:
        return MODELS.build(config)
    except ValueError as error:
        raise ValueError(f'{what}: {error}') from error
    except TypeError as error:
        # a class may have said more of what it does not take than Python does
        check_arguments(cls, config, what, only_near='__init__()' not in str(error))
        lacking = [p.name for p in inspect.signature(cls).parameters.values()
                   if p.kind in _NAMED and p.default is p.empty and p.name not in config]
        if lacking:
            raise TypeError(f'{what}: {cls.__name__} needs {", ".join(lacking)}') from None
        raise TypeError(f'{what}: {error}') from error


def check_arguments(cls: type, config: Iterable[str], what: str, only_near: bool = False) -> None:
    """See whether a class takes the arguments of a config, ``type`` aside.

    Args:
        cls (type): The class.
        config (Iterable[str]): Names of the arguments.
        what (str): What to call it in messages.
        only_near (bool): Whether to pass over those that are not like any
            that it takes. Defaults to False.

    Raises:
        TypeError: if not, naming the nearest that it takes.
    """
    known = arguments_of(cls)
    for name in config:
        if name in ('type', '_scope_', *known):
            continue
        close = nearest(name, known)
        if close or not only_near:
            raise TypeError(f'{what}: {cls.__name__} does not take {name!r}{close}')


def arguments_of(cls: type) -> List[str]:
    """Names of what a constructor takes, and of what it hands on to those above it."""
    known: List[str] = []
    for base in cls.__mro__:
        if '__init__' not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        known += [p.name for p in parameters if p.kind in _NAMED and p.name != 'self']
        if all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters):
            break
    return known


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: what a misspelt name may stand for; '' if nothing is near."""
    close = difflib.get_close_matches(str(name), list(known), n=2)
    return f'; did you mean {" or ".join(close)}?' if close else ''
