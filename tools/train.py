"""Train a detector: MMDetection's ``tools/train.py``, options and all.

``ctkd_det`` is imported first, so that mmcv-lite and current torch serve.
"""
import runpy
import sys

from ctkd_det.compat.reading import CheckpointError
from ctkd_det.models.teachers import TeacherError
from ctkd_det_cli.places import shipped
from ctkd_det_data import DataError

if __name__ == '__main__':
    try:
        runpy.run_path(str(shipped('mmdet', 'tools') / 'train.py'), run_name='__main__')
    except (CheckpointError, DataError, TeacherError) as error:
        sys.exit(f'train.py: {error}')
