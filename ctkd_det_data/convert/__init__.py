"""Turns other layouts into ``train.json``, ``val.json`` and ``images/``.

supervision and datumaro read these formats, too. The first decodes every
image, neither compares its size with the stated one, and both bring more
packages than this one has lines.
"""
from .layouts import KINDS, convert

__all__ = ['KINDS', 'convert']
