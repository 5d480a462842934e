"""Keeps the spaces in values of ``--cfg-options``, such as a folder called ``my project``."""
from itertools import accumulate
from typing import Any

from mmengine.config import DictAction

_parse_iterable = DictAction._parse_iterable


def keep_spaces() -> None:
    """Let MMEngine, which removes them, read a value that is no list by this; once is enough."""
    DictAction._parse_iterable = staticmethod(_value)


def _value(text: str) -> Any:
    single = text.strip(' \'"')
    if single.startswith(('(', '[')) or _has_outer_comma(single):
        return _parse_iterable(text)
    return DictAction._parse_int_float_bool(single)


def _has_outer_comma(text: str) -> bool:
    depths = accumulate((char in '([') - (char in ')]') for char in text)
    return any(char == ',' and not depth for char, depth in zip(text, depths, strict=True))
