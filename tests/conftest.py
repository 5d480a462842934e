"""Fixtures: data and teachers are made once per worker."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import helpers  # noqa: E402

COCO_MINI = helpers.ROOT.parent / 'shared' / 'data' / 'coco_mini'


@pytest.fixture(autouse=True)
def no_runner_before():
    """A Runner leaves its state and its visualizer to the next one of the same process."""
    from mmdet.visualization import DetLocalVisualizer
    from mmengine.logging import MessageHub
    for manager in (MessageHub, DetLocalVisualizer):
        manager._instance_dict.clear()


@pytest.fixture(scope='session')
def shapes(tmp_path_factory) -> Path:
    """Folder of a data set with 8 + 8 images."""
    return helpers.make_shapes(tmp_path_factory.mktemp('shapes'))


@pytest.fixture(scope='session')
def teacher(tmp_path_factory) -> dict:
    """The detector's arguments for a teacher with random weights."""
    return helpers.make_teacher(tmp_path_factory.mktemp('teacher'))


@pytest.fixture
def coco_mini() -> Path:
    """125 real COCO images; the test is skipped where they are absent."""
    if not COCO_MINI.is_dir():
        pytest.skip(f'needs {COCO_MINI.name}, real COCO images beside the checkout')
    return COCO_MINI
