"""Checks data sets in COCO's format before anything is trained on them.

The package needs the standard library only, and Pillow for the sizes of
images. So ``ctkd-det doctor`` can use it where neither mmdet nor numpy can be
imported. ``CheckDataHook`` uses it in trainings.
"""
from .check import Part, check
from .findings import FAIL, OK, WARN, DataError, Finding
from .folder import CocoFolder, Split, find_coco
from .reading import read

__all__ = ['CocoFolder', 'DataError', 'FAIL', 'Finding', 'OK', 'Part', 'Split', 'WARN', 'check',
           'find_coco', 'read']
