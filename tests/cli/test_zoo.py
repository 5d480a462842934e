"""Configs by the names that people use."""
import click
import pytest

from ctkd_det_cli.distill.zoo import find_config, weights_url
from helpers import CONFIGS, ROOT

R50 = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'


@pytest.mark.parametrize('name', [R50, R50.removesuffix('.py'), 'faster-rcnn_r50_fpn_1x_coco',
                                  'faster-rcnn_r50_fpn_1x_coco.py'])
def test_names_of_a_config(name):
    source = find_config(name)
    assert source.reference == R50 and source.num_classes == 80
    assert find_config(str(source.path)).reference == R50  # a path into mmdet is not left as one


def test_our_students_go_by_path():
    source = find_config('faster-rcnn_r18_fpn_1x_coco')
    # by name where the package is installed, editable or not; a bare checkout has its path alone
    name = 'students/faster-rcnn_r18_fpn_1x_coco.py'
    installed = (ROOT / 'ctkd_det' / '.mim').is_dir()
    assert source.reference == (f'ctkd_det::{name}' if installed else str(CONFIGS / name))
    assert source.config.model.backbone.depth == 18


@pytest.mark.parametrize('name, hint', [
    ('faster_rcnn_r50_fpn_1x_coco', 'faster-rcnn_r50_fpn_1x_coco'),  # as mmdet 2.x wrote it
    ('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x.py', 'faster-rcnn_r50_fpn_1x_coco'),
    ('my/student.py', 'there is no file .*my/student.py'),  # not the shapes' student
    ('mmpretrain::resnet/resnet50', 'neither mmdet:: nor ctkd_det::'),
    ('override_category', 'give one of the paths')])
def test_unknown_names_say_what_could_be_meant(name, hint):
    with pytest.raises(click.ClickException, match=hint):
        find_config(name)


def test_a_folder_beside_does_not_hide_a_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('faster-rcnn_r18_fpn_1x_coco', 'mine', 'work_dirs'):
        (tmp_path / name).mkdir()
    assert find_config('faster-rcnn_r18_fpn_1x_coco').config.model.backbone.depth == 18
    for name in ('mine', './work_dirs', str(tmp_path / 'mine'), 'faster-rcnn_r18_fpn_1x_coco/'):
        with pytest.raises(click.ClickException, match='is a folder, not a config'):
            find_config(name)


def test_weights_of_the_zoo():
    # the URL that the documentation of mmengine.hub.get_config shows
    assert weights_url(find_config(R50)) == (
        'https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r50_fpn_1x_coco/'
        'faster_rcnn_r50_fpn_1x_coco_20200130-047c8118.pth')
    with pytest.raises(click.ClickException, match='has no weights'):
        weights_url(find_config('faster-rcnn_r18_fpn_1x_coco'))


def test_a_misspelt_file_is_told_the_ones_beside(tmp_path, monkeypatch):
    (tmp_path / 'my_teacher.py').write_text('')
    monkeypatch.chdir(tmp_path)
    for name in ('my_techer.py', str(tmp_path / 'my_techer.py')):
        with pytest.raises(click.ClickException, match=r'Closest names: \S*my_teacher\.py'):
            find_config(name)
