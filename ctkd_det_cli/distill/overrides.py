"""Overrides of a config: dicts that MMEngine merges into what the config inherits."""
from typing import Any


def over_nothing(blocks: Any, base: Any) -> Any:
    """The overrides, with dicts that may stand in the place of ``None``, as MMEngine asks for."""
    if not isinstance(blocks, dict) or not isinstance(base, dict):
        return blocks
    return {key: {**value, '_delete_': True} if isinstance(value, dict) and key in base
            and not isinstance(base[key], dict) else over_nothing(value, base.get(key))
            for key, value in blocks.items()}


def merged(a: Any, b: Any) -> Any:
    """Two overrides in one; ``b`` wins."""
    if not isinstance(a, dict) or not isinstance(b, dict):
        return b
    return {**a, **{key: merged(a[key], value) if key in a else value for key, value in b.items()}}
