"""Pictures are shown as the detectors read them; nothing else of the disk is."""
import base64
import io
import json

import mmcv
import numpy as np
import pytest
from PIL import Image

from ctkd_det.visualization.report.detectors import _import, teacher_detector
from ctkd_det.visualization.report.pictures import crop, data_uri, read_picture
from ctkd_det.visualization.report.predictions import Predictions
from ctkd_det.visualization.report.runs import Missing
from ctkd_det.visualization.report.study import read_study
from studies import distilled, write_run


def seen(folder, *names):
    return Predictions(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0, int), np.zeros(0),
                       image_ids=list(range(len(names))),
                       paths=[str(folder.joinpath(name)) for name in names],
                       classes=['a'], cat_ids=[1], ann_file='', image_folder=str(folder),
                       total=len(names))


@pytest.fixture
def photos(tmp_path):
    """A wide picture that EXIF turns upright, and one of 16 bits."""
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, :30, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(wide).save(tmp_path / 'exif6.jpg', exif=exif, quality=95)
    deep = np.linspace(0, 65535, 40 * 30).reshape(30, 40).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / 'grey16.png')
    return tmp_path


@pytest.mark.parametrize('index, shape', [(0, (60, 20, 3)), (1, (30, 40, 3))])
def test_as_mmcv_reads_them(photos, index, shape):
    predictions = seen(photos, 'exif6.jpg', 'grey16.png')
    picture = read_picture(predictions, index)
    assert picture.shape == shape and picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, mmcv.imread(predictions.paths[index])[..., ::-1])
    shown = Image.open(io.BytesIO(base64.b64decode(data_uri(picture, 960).split(',')[1])))
    assert shown.size == shape[1::-1]
    if index == 1:  # not white: 16 bits were brought to 8
        assert 110 < picture.mean() < 145


@pytest.mark.parametrize('name, said', [
    ('../secret.png', 'leads out of the data folder'), ('gone.png', 'no longer there'),
    ('text.png', 'could not be read')])
def test_what_is_not_shown(photos, name, said):
    data = photos / 'data'
    data.mkdir()
    (data / 'text.png').write_text('no picture')
    Image.new('RGB', (8, 8)).save(photos / 'secret.png')
    with pytest.raises(Missing, match=said):
        read_picture(seen(data, name), 0)


def test_a_linked_picture_is_in_the_data_folder(photos):
    data = photos / 'data'
    data.mkdir()
    (data / 'linked.png').symlink_to(photos / 'grey16.png')
    assert read_picture(seen(data, 'linked.png'), 0).shape == (30, 40, 3)


def test_a_crop_has_a_margin_and_stays_inside():
    picture = np.arange(100, dtype=np.uint8).reshape(10, 10, 1)
    assert crop(picture, np.array([4., 4, 8, 8])).shape[:2] == (7, 7)
    assert crop(picture, np.array([90., 90, 99, 99])).size > 0


def test_a_teachers_config_in_the_work_directory_is_not_executed(tmp_path):
    run = tmp_path / 'run'
    model = distilled(config=str(run / 'evil.py'), ckpt=str(run / 'teacher.pth'))
    write_run(run, 'kd', model, val_dataloader=dict(dataset=dict(type='CocoDataset')))
    (run / 'teacher.pth').touch()
    (run / 'evil.py').write_text(f'open({str(tmp_path / "executed")!r}, "w")')
    with pytest.raises(Missing, match='was not executed'):
        teacher_detector(read_study([run]))
    assert not (tmp_path / 'executed').exists()
    (run / 'evil.py').write_text('model = dict(type="FasterRCNN")')
    assert teacher_detector(read_study([run])).model == dict(type='FasterRCNN')


def test_the_teacher_sees_images_that_it_normalises_itself(tmp_path):
    """As its pipeline says, whatever the student's pipeline does."""
    run, load = tmp_path / 'run', dict(type='LoadImageFromFile')
    normalize = dict(type='Normalize', mean=[1., 2., 3.], std=[4., 5., 6.], to_rgb=True)
    (tmp_path / 'teacher.py').write_text(
        'model = dict(type="FasterRCNN")\n'
        "data_preprocessor = dict(type='DetDataPreprocessor', pad_size_divisor=32)\n"
        f'train_dataloader = dict(dataset=dict(pipeline=[{load}, {normalize}]))\n')
    (tmp_path / 'teacher.pth').touch()
    write_run(run, 'kd', distilled(config=str(tmp_path / 'teacher.py'),
                                   ckpt=str(tmp_path / 'teacher.pth')),
              val_dataloader=dict(dataset=dict(type='RepeatDataset', dataset=dict(
                  type='CocoDataset', pipeline=[load, dict(normalize, mean=[9., 9., 9.])]))))
    teacher = teacher_detector(read_study([run]))
    assert teacher.loader['dataset']['dataset']['pipeline'] == [load]
    assert teacher.model['data_preprocessor'] == dict(
        type='DetDataPreprocessor', pad_size_divisor=32, mean=[1., 2., 3.], std=[4., 5., 6.],
        bgr_to_rgb=True, rgb_to_bgr=False)


def test_a_module_in_the_work_directory_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / 'work_dirs' / 'run').mkdir(parents=True)
    (tmp_path / 'work_dirs' / 'run' / 'evil.py').write_text('raise SystemExit("executed")')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match='nothing is executed'):
        _import('work_dirs.run.evil', tmp_path / 'work_dirs' / 'run')
    _import('json.decoder', tmp_path / 'work_dirs' / 'run')
    with pytest.raises(ModuleNotFoundError):
        _import('no_such_module', tmp_path / 'work_dirs' / 'run')
    assert json.decoder
