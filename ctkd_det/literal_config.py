"""Reads a config that mmengine has dumped, without executing it.

A config file is Python code, and a work directory may come from somebody else.
mmengine dumps a config as assignments of plain values and ``dict(...)``, so
that it can be read as data.
"""
import ast
import builtins
import io
import math
import tokenize
from pathlib import Path
from typing import Any, Callable, Dict, Union

from mmengine.config import Config

_MOST_ITEMS = 1_000_000
_NAMES = dict(inf=math.inf, nan=math.nan)  # as mmengine writes these floats


def read_literal_config(file: Union[str, Path]) -> Config:
    """Read a dumped config.

    Args:
        file (str | Path): A file that ``mmengine.Config.dump`` has written.

    Returns:
        Config: The same config; nothing was imported or executed for it.

    Raises:
        ValueError: if it holds anything but assignments of plain values, or
            ``{{``; the message names the line.
        OSError: if it cannot be read.
    """
    try:
        text = Path(file).read_text(encoding='utf-8')
        before, template, _ = text.partition('{{')
        if template:
            # what is a value here may be code for a program that reads the file with mmengine
            raise ValueError(f"line {before.count(chr(10)) + 1} holds '{{{{', which mmengine "
                             'replaces before it reads a config')
        return Config(parse_literals(text), filename=str(file))
    except (ValueError, KeyError, SyntaxError, RecursionError, OverflowError) as error:
        raise ValueError(f'{file} was not executed, and is no config as mmengine dumps it '
                         f'({error})') from error


def is_dump(file: Union[str, Path]) -> bool:
    """Whether mmengine has written this config, and nobody has edited it since.

    Its formatting says nothing: versions of yapf differ. What mmengine writes is in order, without
    comments, and has no base.
    """
    try:
        written = read_literal_config(file).pretty_text
        text = Path(file).read_text(encoding='utf-8')
        comments = any(token.type == tokenize.COMMENT
                       for token in tokenize.generate_tokens(io.StringIO(text).readline))
        return not comments and ast.dump(ast.parse(text)) == ast.dump(ast.parse(written))
    except (ValueError, OSError, SyntaxError, RecursionError):  # what is nested too deeply
        return False


def _refuse(node: ast.expr) -> Any:
    raise ValueError(f'line {node.lineno} holds {ast.unparse(node)[:60]!r}, which is no plain '
                     'value')


def parse_literals(text: str, other: Callable[[ast.expr], Any] = _refuse) -> Dict[str, Any]:
    """The values that a text of plain assignments gives to its names.

    Args:
        text (str): A config as mmengine dumps it.
        other (Callable): What an expression that is no plain value is read as.
            Defaults to a refusal.

    Raises:
        ValueError: at anything else, which is named with its line.
        SyntaxError: if it is no Python.
    """
    body = ast.parse(text).body
    if len(body) == 1 and isinstance(body[0], ast.Expr):  # names that are no Python names
        value = _value(body[0].value, other)
        if isinstance(value, dict):
            return value
    values = {}
    for statement in body:
        if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1
                and isinstance(statement.targets[0], ast.Name)):
            raise ValueError(f'line {statement.lineno} is no assignment of a plain value')
        values[statement.targets[0].id] = _value(statement.value, other)
    return values


def _value(node: ast.expr, other: Callable[[ast.expr], Any]) -> Any:
    """The value of a literal, of ``dict(...)``, of a few more, or of a container of these."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in _NAMES:
        return _NAMES[node.id]
    if isinstance(node, ast.Dict) and None not in node.keys:
        pairs = [(_value(key, other), _value(value, other))
                 for key, value in zip(node.keys, node.values, strict=True)]
        return _made(dict, pairs, node)
    kinds = {ast.List: list, ast.Tuple: tuple, ast.Set: set}
    if type(node) in kinds:
        return _made(kinds[type(node)], [_value(item, other) for item in node.elts], node)
    if isinstance(node, (ast.UnaryOp, ast.BinOp)):
        return _number(node, other)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _call(node, node.func.id, other)
    return other(node)


def _number(node: Union[ast.UnaryOp, ast.BinOp], other: Callable[[ast.expr], Any]) -> Any:
    """``-1`` or ``1+2j``."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _value(node.operand, other)
        if isinstance(number, (int, float, complex)):
            return -number
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):  # 1+2j
        real, imaginary = _value(node.left, other), _value(node.right, other)
        if type(real) in (int, float) and isinstance(imaginary, complex):
            return real + imaginary if isinstance(node.op, ast.Add) else real - imaginary
    return other(node)


# how Python writes these values, and what may be in the parentheses
_CALLS: Dict[str, Callable[..., bool]] = {
    'set': lambda *items: not items,
    'frozenset': lambda *items: not items or len(items) == 1 and isinstance(items[0], set),
    # a few characters must not stand for more items than a long file could list
    'range': lambda *numbers: all(type(number) is int and abs(number) <= _MOST_ITEMS
                                  for number in numbers),
    'slice': lambda *numbers: all(number is None or type(number) is int for number in numbers)}


def _call(node: ast.Call, name: str, other: Callable[[ast.expr], Any]) -> Any:
    if name == 'dict':
        return _dict(node, other)
    if name in _CALLS and not node.keywords:
        arguments = [_value(argument, other) for argument in node.args]
        if _CALLS[name](*arguments):
            return _made(getattr(builtins, name), arguments, node, spread=True)
    return other(node)


def _made(kind: type, content: list, node: ast.expr, spread: bool = False) -> Any:
    """A container, or a ValueError if its content cannot be in one, as a list as a key."""
    try:
        return kind(*content) if spread else kind(content)
    except (TypeError, ValueError) as error:
        raise ValueError(f'line {node.lineno} holds {ast.unparse(node)[:60]!r}: {error}') from None


def _dict(call: ast.Call, other: Callable[[ast.expr], Any]) -> Dict[Any, Any]:
    """``dict(a=1)`` or ``dict({'a-b': 1})``."""
    values: Dict[Any, Any] = {}
    for argument in call.args:
        mapping = _value(argument, other)
        if not isinstance(mapping, dict):
            raise ValueError(f'line {call.lineno} holds a dict(...) of something else than pairs')
        values.update(mapping)
    for keyword in call.keywords:
        if keyword.arg is None:
            raise ValueError(f'line {call.lineno} holds **, which is no plain value')
        values[keyword.arg] = _value(keyword.value, other)
    return values
