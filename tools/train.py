"""Train a detector: MMDetection's ``tools/train.py``, options and all.

``ctkd_det`` is imported first, so that mmcv-lite and current torch serve.
"""
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

from ctkd_det.compat.reading import CheckpointError
from ctkd_det.models.teachers import TeacherError

if __name__ == '__main__':
    tools = Path(find_spec('mmdet').origin).parent / '.mim' / 'tools'
    try:
        runpy.run_path(str(tools / 'train.py'), run_name='__main__')
    except (CheckpointError, TeacherError) as error:
        sys.exit(f'train.py: {error}')
