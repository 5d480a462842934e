"""Turns configs into code as people write it: ``dict(...)``, packed to 100 columns."""
from typing import Any, List

WIDTH = 100


class Name(str):
    """A variable of the config file; written without quotes."""
    __repr__ = str.__str__


def assignment(name: str, value: Any) -> str:
    """``name = value``, with a line break at the end."""
    return f'{name} = {_code(value, 0, len(name) + 3)}\n'


def _code(value: Any, indent: int, before: int) -> str:
    """Code of ``value``, which begins ``before`` columns after ``indent`` spaces.

    On one line if it fits; else one line for each item of a dict or of a list
    of dicts, and as many as fit for the items of a plain list.
    """
    line = _one_line(value)
    if indent + before + len(line) < WIDTH or not isinstance(value, (dict, list, tuple)):
        return line
    inner = indent + 4
    if isinstance(value, dict):
        opening, closing = _brackets(value)
        items = [key + _code(v, inner, len(key) + 1)
                 for k, v in value.items() for key in (_key(k, value), )]
    else:
        opening, closing = ('[', ']') if isinstance(value, list) else ('(', ')')
        items = [_code(v, inner, 1) for v in value]
        if not any(isinstance(v, (dict, list, tuple)) for v in value):
            items = _filled(items, WIDTH - inner)
    separator = ',\n' + ' ' * inner
    return f'{opening}\n{" " * inner}{separator.join(items)}{closing}'


def _one_line(value: Any) -> str:
    if isinstance(value, dict):
        opening, closing = _brackets(value)
        return opening + ', '.join(
            _key(k, value) + _one_line(v) for k, v in value.items()) + closing
    if isinstance(value, list):
        return f'[{", ".join(map(_one_line, value))}]'
    if isinstance(value, tuple):
        return f'({", ".join(map(_one_line, value))}{"," * (len(value) == 1)})'
    return repr(value)


def _brackets(config: dict) -> tuple:
    return ('dict(', ')') if _are_names(config) else ('{', '}')


def _key(key: Any, config: dict) -> str:
    return f'{key}=' if _are_names(config) else f'{key!r}: '


def _are_names(config: dict) -> bool:
    return all(isinstance(key, str) and key.isidentifier() for key in config)


def _filled(items: List[str], width: int) -> List[str]:
    """The items joined to lines of less than ``width``."""
    lines = [items[0]]
    for item in items[1:]:
        if len(lines[-1]) + len(item) + 4 > width:
            lines.append(item)
        else:
            lines[-1] += f', {item}'
    return lines
