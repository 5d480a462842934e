"""Annotation files from public reports, which lie beside the checkout."""
import json
import shutil

import pytest
from data.test_check import look_as_a_training_does, perfect_map
from PIL import Image

from ctkd_det_cli.doctor.data import check_data
from ctkd_det_data import DataError, find_coco
from helpers import ROOT

CASES = ROOT.parent / 'shared' / 'cases' / 'annotations'
REFUSED = {
    'category-ids-shifted-by-one': 'category 2 is in 1 of 2 boxes, but not in the list',
    'all-boxes-normalised': 'lie between 0 and 1',
    'one-image-id-twice': "id 1 is 'a.png' and 'b.png'",
    'val-without-boxes': 'no box is left',
    'second-image-not-on-disk': "1 of 2 images are not in {root}/images; the first: 'missing.png'",
    'no-category-id': "1 of 2 boxes have no usable 'category_id'; the first: annotations[0]",
    'panoptic': "annotations[0] has 'segments_info'"}
READ = {
    'good': '', 'group-and-class-of-one-name': "No box has id 0, the name of the group",
    'all-iscrowd-1-rle': 'CVAT writes brush masks as crowds',
    'boxes-as-corners': '2 of 2 boxes reach outside their image; are they corners',
    'annotation-id-zero': '1 of 2 boxes have the id 0',
    'box-of-zero-width': '1 of 2 boxes have no width or height',
    'no-iscrowd': "2 of 2 boxes have no 'iscrowd'", 'no-area': "2 of 2 boxes have no 'area'",
    'box-as-strings': 'have text for numbers in their bbox',
    'no-width-height': "2 of 2 images have no 'width' and 'height'",
    'annotation-id-twice': '1 of 2 boxes have the id of another box',
    'image-id-string-in-boxes-only': '"1" is not 1', 'bom': 'byte order mark',
    'backslash': 'has a backslash',
    'category-listed-for-each-box': "categories[2] (id 1), 'apple', which is equal"}


@pytest.fixture(scope='module')
def sets(tmp_path_factory):
    if not CASES.is_dir():
        pytest.skip('needs cases/annotations beside the checkout')
    root = tmp_path_factory.mktemp('cases')
    for file in CASES.glob('*.json'):
        folder = root / file.stem
        (folder / 'images').mkdir(parents=True)
        for name in ('a', 'b'):
            Image.effect_noise((64, 48), 50).save(folder / 'images' / f'{name}.png')
        for part in ('train', 'val'):
            shutil.copy(file, folder / f'{part}.json')
    return root


def test_all_are_known(sets):
    assert {folder.name for folder in sets.iterdir()} == {*REFUSED, *READ}


@pytest.mark.parametrize('name', REFUSED)
def test_refused(name, sets):
    said = REFUSED[name].format(root=sets / name)
    try:
        found = '\n'.join(map(str, find_coco(sets / name).failures))
    except DataError as error:
        found = str(error)
    assert said in found and 'train.json' in found
    assert next(check_data(sets / name, True)).state == 'fail'


@pytest.mark.parametrize('name', READ)
def test_read(name, sets, tmp_path):
    data = find_coco(sets / name)
    assert READ[name] in '\n'.join(map(str, data.findings)) and not data.failures
    state = next(check_data(sets / name, True)).state
    assert state == ('ok' if name == 'good' else 'warn')
    copies = data.beside(tmp_path / 'config.py')
    copies.save()
    look_as_a_training_does(copies)
    assert perfect_map(copies.val.ann_file, data.classes) == pytest.approx(1)
    if name not in ('boxes-as-corners', 'box-of-zero-width'):
        boxes = json.loads(copies.train.ann_file.read_text(encoding='utf-8'))['annotations']
        assert [box['bbox'] for box in boxes] == [[4, 4, 24, 20], [30, 10, 20, 30]]
