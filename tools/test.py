"""Test a detector: MMDetection's ``tools/test.py``, options and all.

``ctkd_det`` is imported first, so that mmcv-lite and current torch serve.
"""
import runpy
from importlib.util import find_spec
from pathlib import Path

import ctkd_det  # noqa: F401

if __name__ == '__main__':
    tools = Path(find_spec('mmdet').origin).parent / '.mim' / 'tools'
    runpy.run_path(str(tools / 'test.py'), run_name='__main__')
