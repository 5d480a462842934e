"""``ctkd-det export --format onnx`` on the shipped teacher, which detects something."""
import contextlib
import json
import re
import shutil

import numpy as np
import pytest
import torch
from click import ClickException
from mmengine.config import Config

from cli.conftest import invoke
from ctkd_det_cli.export import onnx as onnx_export
from ctkd_det_cli.export import onnx_arguments
from helpers import CONFIGS, distill, full_disk, make_shapes, use_data

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
TEACHER = (CONFIGS / 'shapes' / 'teacher.py', CONFIGS / 'shapes' / 'teacher.pth')


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp('onnx') / 'shapes', 12)


@pytest.fixture(scope='module')
def exported(shapes):
    result = invoke('export', *TEACHER, '--out', shapes.parent / 'out', '--format', 'onnx',
                    '--data', shapes, '--int8', '--max-drop', 20)
    assert result.exit_code == 0, result.output
    return result.output, shapes.parent / 'out'


def test_the_comparison_is_printed(exported):
    printed, out = exported
    assert sorted(path.name for path in out.iterdir()) == ['teacher.onnx', 'teacher_int8.onnx']
    rows = {cells[1].strip(): [float(c) for c in cells[2:5]] for cells in (
        line.split('│') for line in printed.splitlines()) if len(cells) == 6}
    assert set(rows) == {'PyTorch', 'ONNX Runtime', 'int8'}
    size, _, points = rows['ONNX Runtime']
    assert points == rows['PyTorch'][2] > 30
    assert abs(size - (out / 'teacher.onnx').stat().st_size / 1e6) < 0.01
    assert rows['int8'][0] < size / 2 and abs(rows['int8'][2] - points) < 20
    detections, unmatched = map(int, re.search(
        r'(\d+) detections, (\d+) without', printed).groups())
    assert detections > 20 and unmatched == 0


def test_metadata(exported):
    facts = {p.key: p.value for p in onnx.load(exported[1] / 'teacher.onnx').metadata_props}
    assert json.loads(facts['classes'])[:2] == ['triangle', 'square']
    assert facts['preprocessing'] == 'inside' and facts['detector'] == 'FasterRCNN'
    assert facts['dataset'] == 'val.json'


def changed(data, folder, part, change):
    """A copy of a data set whose JSON file of one part is changed."""
    shutil.copytree(data, folder)
    (file, ) = (f for f in folder.rglob('*.json') if part in f.stem)
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return folder


def test_data_that_have_to_be_put_right(exported, shapes, tmp_path):
    """The same mAP as with the good file, from which only area and the order differ."""
    def change(content):
        content['categories'].reverse()
        for box in content['annotations']:
            del box['area']

    data = changed(shapes, tmp_path / 'odd', 'val', change)
    result = invoke('export', *TEACHER, '--out', tmp_path / 'out', '--format', 'onnx', '--data',
                    data)
    assert result.exit_code == 0, result.output
    assert result.output.count("have no 'area'") == 1 and 'in the order of train' in result.output
    assert points(result.output) == points(exported[0])
    facts = {p.key: p.value for p in onnx.load(tmp_path / 'out' / 'teacher.onnx').metadata_props}
    assert facts['dataset'] == 'val.json' and json.loads(facts['classes'])[0] == 'triangle'


def points(printed):
    """The mAP of PyTorch."""
    return next(float(line.split('│')[4]) for line in printed.splitlines() if '│ PyTorch' in line)


def test_a_distilled_student_and_the_same_bytes(shapes, tmp_path):
    cfg = use_data(Config.fromfile(TEACHER[0]), shapes)
    cfg.custom_imports = dict(imports=['ctkd_det'])
    distill(cfg, dict(zip(('teacher_config', 'teacher_ckpt'), map(str, TEACHER), strict=True)))
    cfg.dump(tmp_path / 'distilled.py')
    weights = torch.load(TEACHER[1], weights_only=True)['state_dict']
    weights['distill_losses.loss_ctkd.temperature.theta'] = torch.zeros(1)
    torch.save(dict(state_dict=weights), tmp_path / 'distilled.pth')
    files = []
    for name in ('a', 'b'):
        result = invoke('export', tmp_path / 'distilled.py', tmp_path / 'distilled.pth', '--out',
                        tmp_path / name, '--format', 'onnx', '--shape', 64, 96)
        assert result.exit_code == 0, result.output
        files.append((tmp_path / name / 'distilled.onnx').read_bytes())
    assert files[0] == files[1]
    file = onnx.load_from_string(files[0])
    facts = {p.key: p.value for p in file.metadata_props}
    assert json.loads(facts['method']) == dict(loss_ctkd='KDLoss')
    assert json.loads(facts['resize'])['pad'] == [96, 64]
    assert [d.dim_value for d in file.graph.input[0].type.tensor_type.shape.dim][1:] == [64, 96, 3]
    # data that cannot be read right are said before anything is written
    bad = changed(shapes, tmp_path / 'bad', 'val', lambda content: content.update(
        annotations=[dict(box, category_id=77) for box in content['annotations']]))
    result = invoke('export', tmp_path / 'distilled.py', tmp_path / 'distilled.pth', '--out',
                    tmp_path / 'c', '--format', 'onnx', '--data', bad)
    assert result.exit_code == 1 and 'category 77' in result.output
    assert not (tmp_path / 'c').exists()


def test_other_settings_than_a_plain_detector_was_trained_with(tmp_path, monkeypatch):
    cfg = Config.fromfile(TEACHER[0])
    cfg.model.data_preprocessor.mean = [0.0, 0.0, 0.0]
    (tmp_path / 'work' / '1' / 'vis_data').mkdir(parents=True)
    cfg.dump(tmp_path / 'work' / '1' / 'vis_data' / 'config.py')
    checkpoint = shutil.copy(TEACHER[1], tmp_path / 'work' / 'epoch_1.pth')
    monkeypatch.setattr('ctkd_det_cli.export.onnx.write_onnx', lambda *_: None)
    args = ['--out', tmp_path / 'out', '--format', 'onnx']
    result = invoke('export', TEACHER[0], checkpoint, *args)
    assert result.exit_code == 0, result.output
    said = ' '.join(result.output.split())
    assert 'teacher.py says: model.data_preprocessor.mean. To export it' in said
    assert f'export {tmp_path / "work"} --out {tmp_path / "out"} --format onnx' in said
    for same in (TEACHER, (tmp_path / 'work', )):
        assert 'Warning' not in invoke('export', *same, *args).output


def test_names_in_a_checkpoint_are_texts(shapes, tmp_path):
    """What a stranger's checkpoint says of itself becomes no path."""
    checkpoint = torch.load(TEACHER[1], weights_only=True)
    checkpoint['meta'] = dict(ctkd_det=dict(method={'../../x': '{0.__class__}'}))
    torch.save(checkpoint, tmp_path / 'strange.pth')
    result = invoke('export', TEACHER[0], tmp_path / 'strange.pth', '--out', tmp_path / 'out',
                    '--format', 'onnx', '--data', shapes, '--images', 2)
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['teacher.onnx']
    facts = {p.key: p.value for p in onnx.load(tmp_path / 'out' / 'teacher.onnx').metadata_props}
    assert json.loads(facts['method']) == {'../../x': '{0.__class__}'}


def test_other_classes(shapes, tmp_path):
    checkpoint = torch.load(TEACHER[1], weights_only=True)
    checkpoint['meta'] = dict(dataset_meta=dict(classes=['square', 'triangle'] + ['../y'] * 6))
    torch.save(checkpoint, tmp_path / 'other.pth')
    result = invoke('export', TEACHER[0], tmp_path / 'other.pth', '--out', tmp_path / 'out',
                    '--format', 'onnx', '--data', shapes)
    assert result.exit_code == 1 and "label 0 is 'square' and 'triangle'" in result.output
    assert not (tmp_path / 'out').exists()


def test_a_file_that_detects_something_else_is_not_written(shapes, tmp_path, monkeypatch):
    from ctkd_det.deploy import two_stage
    decode = two_stage.decode
    monkeypatch.setattr(two_stage, 'decode', lambda *args: decode(*args) + 1)  # a pixel too far
    result = invoke('export', *TEACHER, '--out', tmp_path / 'out', '--format', 'onnx', '--data',
                    shapes, '--images', 3)
    assert result.exit_code == 1
    assert 'does not detect what mmdet detects, and is not written' in result.output
    assert not list((tmp_path / 'out').iterdir())


@pytest.mark.parametrize('last_look, fits', [
    ('_disagreement', []), ('_too_much', ['teacher.onnx'])])
def test_a_full_disk_leaves_the_earlier_file(last_look, fits, shapes, tmp_path, monkeypatch):
    """It is full when a proved file is written."""
    old = {name: tmp_path / name for name in ('teacher.onnx', 'teacher_int8.onnx')}
    for file in old.values():
        file.write_bytes(b'old')
    with contextlib.ExitStack() as stack:
        look = getattr(onnx_export, last_look)
        monkeypatch.setattr(onnx_export, last_look, lambda *args: (
            look(*args), stack.enter_context(full_disk()))[0])
        result = invoke('export', *TEACHER, '--out', tmp_path, '--format', 'onnx', '--data',
                        shapes, '--int8', '--images', 2)
    assert result.exit_code == 1 and 'cannot be written (File too large)' in ' '.join(
        result.output.split()), result.output
    assert [name for name, file in old.items() if file.read_bytes() != b'old'] == fits
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(old)


def test_too_large_a_drop(shapes, tmp_path, monkeypatch):
    from ctkd_det_cli.export import proof

    points = iter([60.0, 60.0, 58.0])  # PyTorch, ONNX Runtime, int8
    monkeypatch.setattr(proof, 'mean_ap', lambda *_: next(points))
    result = invoke('export', *TEACHER, '--out', tmp_path / 'out', '--format', 'onnx', '--data',
                    shapes, '--images', 2, '--int8', '--max-drop', 1.5)
    assert result.exit_code == 1
    assert 'int8 loses 2.00 points of bbox mAP, more than --max-drop 1.5' in result.output
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['teacher.onnx']


@pytest.mark.parametrize('options, message', [
    (('--int8', ), 'need --format onnx'),
    (('--format', 'onnx', '--max-drop', 1), '--max-drop needs --int8'),
    (('--format', 'onnx', '--opset', 11), '11 is not in the range 16<=x<=20'),
    (('--format', 'onnx'), 'cannot be read'),  # the config's data/shapes is not there
    (('--format', 'onnx', '--data', 'nowhere'), 'there is no folder'),
])
def test_mistakes(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    result = invoke('export', *TEACHER, '--out', tmp_path / 'out', *options)
    assert result.exit_code and message in ' '.join(result.output.split())
    assert not (tmp_path / 'out').exists()


def test_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_arguments, 'find_spec', lambda name: None if name == 'onnx' else 1)
    result = invoke('export', *TEACHER, '--out', tmp_path / 'out', '--format', 'onnx')
    assert result.exit_code == 1 and "pip install 'ctkd_det[deploy]'" in result.output


def test_images_that_are_no_bytes():
    """They are given as bytes where that changes nothing."""
    from ctkd_det_cli.export.onnx_data import as_given

    class Detector:
        def __init__(self, preprocess):
            self.preprocess = preprocess

        prepared = staticmethod(lambda images: images)

    whole = np.full((2, 3, 3), 255, np.float32)
    assert as_given(whole, Detector(True)).dtype == np.uint8
    assert as_given(whole, Detector(False)).dtype == np.float32
    for wrong in (whole + 0.5, whole + 1, -whole):
        assert (as_given(wrong, Detector(False)) == wrong).all()
        with pytest.raises(ClickException, match='give --no-preprocess'):
            as_given(wrong, Detector(True))


def test_an_image_on_which_the_file_does_not_run():
    from mmdet.structures import DetDataSample

    from ctkd_det_cli.export.proof import run_onnx

    class Broken:
        preprocess = True
        prepared = staticmethod(lambda images: images)

        def run(self, *_):
            raise IndexError('selected index k out of range')

    images = [(np.zeros((2, 3, 3), np.uint8),
               dict(data_samples=[DetDataSample(metainfo=dict(img_path='a/b.png'))]))]
    with pytest.raises(ClickException, match='cannot run the file on a/b.png: .*k out of range'):
        run_onnx(Broken(), Broken(), images)


class TestAgreement:
    """A detection counts as the same within half a pixel and 0.001 of the score."""

    @staticmethod
    def agree(theirs, ours, most=100):
        from ctkd_det.deploy import Limits
        from ctkd_det_cli.export.detections import Detections
        from ctkd_det_cli.export.proof import Measured, agreement
        runs = [Measured([Detections(*(np.array(x, float) for x in (
            np.reshape([d[:4] for d in run], (-1, 4)), [d[4] for d in run],
            [d[5] for d in run])))], 0)
            for run in (theirs, ours)]
        return agreement(*runs, Limits(most, 0.05))

    BOX = [0, 0, 10, 10, 0.9, 1]
    LAST = [20, 20, 30, 30, 0.2, 1]

    @pytest.mark.parametrize('place, change, unmatched', [
        (0, 0.4, 0), (0, 0.6, 2), (4, 0.0009, 0), (4, 0.0011, 2), (5, 1, 2)])
    def test_differences(self, place, change, unmatched):
        other = list(self.BOX)
        other[place] += change
        result = self.agree([self.BOX, self.LAST], [other, self.LAST])
        assert result.unmatched == unmatched and result.detections == 2
        assert result.holds == (unmatched == 0)

    def test_missing(self):
        both = [self.BOX, self.LAST]
        assert self.agree(both, [self.BOX]).unmatched == 1
        assert self.agree([self.BOX], [self.BOX] * 2).unmatched == 1  # each has one partner
        # the last of a full list may have lost its place to one of equal score
        swapped = [self.BOX, [5, 5, 6, 6, 0.2005, 0]]
        assert self.agree(both, swapped).unmatched == 2
        assert self.agree(both, swapped, most=2).unmatched == 0
        # far below the threshold, because a centerness comes after it
        low = [[5, 5, 6, 6, 0.045, 0]] * 50
        assert self.agree(low, []).unmatched == 50 == self.agree([], low).unmatched
        # and one at the threshold may be dropped
        assert self.agree([self.BOX, [5, 5, 6, 6, 0.0505, 0]], [self.BOX]).unmatched == 0
