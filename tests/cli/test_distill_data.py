"""``distill --data`` on files that MMDetection would stop on, or misread."""
import json
import shutil

from mmengine.config import Config

from cli.conftest import fork


def line(folder, data):
    return ('distill', folder / 'student.py', '--teacher', folder / 'teacher' / 'teacher.py',
            '--teacher-ckpt', folder / 'teacher' / 'teacher.pth', '--data', data)


def odd(folder, target, change):
    shutil.copytree(folder / 'shapes', target)
    for part in ('train', 'val'):
        file = target / f'{part}.json'
        content = json.loads(file.read_text())
        change(content)
        file.write_bytes(b'\xef\xbb\xbf' + json.dumps(content).encode())
    return target


def test_a_run_on_cleaned_copies(folder, tmp_path):
    """No area, iscrowd or sizes, ids from 0, text for numbers, a byte order mark."""
    def change(content):
        for entry in content['images']:
            del entry['width'], entry['height']
        for index, box in enumerate(content['annotations']):
            del box['area'], box['iscrowd']
            box.update(id=index, bbox=list(map(str, box['bbox'])))
    data = odd(folder, tmp_path / 'set', change)
    before = (data / 'train.json').read_bytes()
    status, printed = fork(*line(folder, data), '--out', 'run.py', '--work-dir', 'work',
                           cwd=tmp_path)
    assert status == 0, printed[-3000:]
    for words in ("have no 'area'", 'Read as: width x height', 'run_train.json: a cleaned copy',
                  'The original is unchanged'):
        assert words in printed
    cfg = Config.fromfile(tmp_path / 'run.py')
    assert cfg.train_dataloader.dataset.ann_file == str(tmp_path / 'run_train.json')
    assert cfg.val_evaluator.ann_file == str(tmp_path / 'run_val.json')
    copy = json.loads((tmp_path / 'run_val.json').read_text())
    original = json.loads((folder / 'shapes' / 'val.json').read_text())
    for key in ('images', 'annotations'):
        for ours, theirs in zip(copy[key], original[key], strict=True):
            assert {k: v for k, v in ours.items() if k not in ('id', 'area', 'segmentation')} == {
                k: v for k, v in theirs.items() if k not in ('id', 'area', 'segmentation')}
    assert (data / 'train.json').read_bytes() == before
    assert list((tmp_path / 'work').glob('*.pth'))
    status, printed = fork(*line(folder, data), '--dry-run', '--out', 'run.py', cwd=tmp_path)
    assert status == 0 and 'Read as' not in printed and 'a cleaned copy' not in printed
    status, printed = fork(*line(folder, data), '--dry-run', '--out', 'two.py', cwd=tmp_path)
    assert status == 0 and printed.count("have no 'area'") == 2  # of each file once


def test_what_belongs_to_the_students_old_data_is_left_out(folder, tmp_path):
    """Its choice of images, and its colours; in a folder with an apostrophe."""
    student = Config.fromfile(folder / 'student.py')
    student.train_dataloader.dataset.update(
        indices=3, metainfo=dict(classes=('a', ), palette=[(1, 2, 3)]))
    home = tmp_path / "Bob's data"
    shutil.copytree(folder / 'shapes', home / 'set')
    student.dump(home / 'student.py')
    status, printed = fork('distill', home / 'student.py', *line(folder, home / 'set')[2:],
                           '--dry-run', '--out', 'run.py', cwd=home)
    assert status == 0, printed[-3000:]
    dataset = Config.fromfile(home / 'run.py').train_dataloader.dataset
    assert dataset.indices is None and dataset.metainfo.palette == 'random'
    assert dataset.data_root == f'{home}/set/'
    classes = json.loads((home / 'set' / 'train.json').read_text())['categories']
    assert dataset.metainfo.classes == tuple(entry['name'] for entry in classes)


def test_a_file_that_cannot_be_written(folder, tmp_path):
    (tmp_path / 'file').touch()
    status, printed = fork(*line(folder, folder / 'shapes'), '--dry-run', '--out', 'file/run.py',
                           cwd=tmp_path)
    assert status == 1 and 'Traceback' not in printed
    assert 'run.py cannot be written (File exists): give another --out' in printed


def test_what_is_wrong_for_certain_is_refused_before_a_file_is_written(folder, tmp_path):
    def change(content):
        for category in content['categories']:
            category['id'] -= 1
        for image in content['images']:
            image['file_name'] = image['file_name'] + '.png'
    data = odd(folder, tmp_path / 'set', change)
    # the images are not there under these names, not even similar ones
    status, printed = fork(*line(folder, data), '--dry-run', '--out', 'run.py', cwd=tmp_path)
    assert status == 1 and 'Traceback' not in printed and 'the first image of' in printed
    for file in (tmp_path / 'set').glob('*/*.png'):
        file.rename(file.with_name(f'{file.name}.png'))
    status, printed = fork(*line(folder, data), '--dry-run', '--out', 'run.py', cwd=tmp_path)
    assert status == 1 and 'Traceback' not in printed
    assert 'train.json: ' in printed and 'but not in the list' in printed
    assert not (tmp_path / 'run.py').exists() and not list(tmp_path.glob('run_*.json'))
