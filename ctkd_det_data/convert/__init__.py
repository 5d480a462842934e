"""Converts other layouts into ``train.json``, ``val.json`` and ``images/``.

supervision and datumaro read these formats, too. supervision decodes every
image. Neither compares the size of an image with the stated one, and both
need many more packages.
"""
from .layouts import KINDS, convert

__all__ = ['KINDS', 'convert']
