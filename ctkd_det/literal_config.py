"""Reads a config that mmengine has dumped, without executing it.

A config file is Python code, and a work directory may come from somebody else.
mmengine dumps a config as assignments of plain values and ``dict(...)``, so
that it can be read as data.
"""
import ast
import io
import math
import tokenize
from pathlib import Path
from typing import Any, Dict, Union

from mmengine.config import Config

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
    except (ValueError, KeyError, SyntaxError, RecursionError) as error:
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
    except (ValueError, OSError):
        return False
    return not comments and ast.dump(ast.parse(text)) == ast.dump(ast.parse(written))


def parse_literals(text: str) -> Dict[str, Any]:
    """The values that a text of plain assignments gives to its names.

    Raises:
        ValueError: at anything else, which is named with its line.
        SyntaxError: if it is no Python.
    """
    body = ast.parse(text).body
    if len(body) == 1 and isinstance(body[0], ast.Expr):  # names that are no Python names
        value = _value(body[0].value)
        if isinstance(value, dict):
            return value
    values = {}
    for statement in body:
        if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1
                and isinstance(statement.targets[0], ast.Name)):
            raise ValueError(f'line {statement.lineno} is no assignment of a plain value')
        values[statement.targets[0].id] = _value(statement.value)
    return values


def _value(node: ast.expr) -> Any:
    """The value of a literal, of ``dict(...)``, or of a container of these."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in _NAMES:
        return _NAMES[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _value(node.operand)
        if isinstance(number, (int, float)):
            return -number
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key): _value(value)
                for key, value in zip(node.keys, node.values, strict=True)}
    kinds = {ast.List: list, ast.Tuple: tuple, ast.Set: set}
    if type(node) in kinds:
        return kinds[type(node)](_value(item) for item in node.elts)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        return _dict(node)
    raise ValueError(f'line {node.lineno} holds {ast.unparse(node)[:60]!r}, which is no plain '
                     'value')


def _dict(call: ast.Call) -> Dict[Any, Any]:
    """``dict(a=1)`` or ``dict({'a-b': 1})``."""
    values: Dict[Any, Any] = {}
    for argument in call.args:
        mapping = _value(argument)
        if not isinstance(mapping, dict):
            raise ValueError(f'line {call.lineno} holds a dict(...) of something else than pairs')
        values.update(mapping)
    for keyword in call.keywords:
        if keyword.arg is None:
            raise ValueError(f'line {call.lineno} holds **, which is no plain value')
        values[keyword.arg] = _value(keyword.value)
    return values
