"""The name under which :func:`read_scalars` was found up to version 0.1."""
from ..work_dir import read_scalars

__all__ = ['read_scalars']
