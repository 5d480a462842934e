"""The converters of public sets, on a few files in their layouts."""
import json
import subprocess
import sys

import pytest
from PIL import Image

from ctkd_det_data import find_coco
from helpers import ROOT

TOOLS = ROOT / 'tools' / 'dataset_converters'


def run(tool, *arguments):
    return subprocess.run([sys.executable, str(TOOLS / tool), *map(str, arguments)], cwd=ROOT,
                          capture_output=True, text=True, env={'PYTHONPATH': str(ROOT)})


def test_deeppcb(tmp_path):
    root = tmp_path / 'DeepPCB' / 'PCBData'
    for part, name in (('trainval', '20085000'), ('test', '20085291')):
        (root / 'group20085' / '20085').mkdir(parents=True, exist_ok=True)
        (root / 'group20085' / '20085_not').mkdir(exist_ok=True)
        for kind in ('test', 'temp'):
            Image.new('L', (640, 640)).save(root / f'group20085/20085/{name}_{kind}.jpg')
        (root / f'group20085/20085_not/{name}.txt').write_text('10 20 50 80 3\n4 6 8 10 1\n')
        (root / f'{part}.txt').write_text(
            f'group20085/20085/{name}.jpg group20085/20085_not/{name}.txt\n')
    done = run('deeppcb.py', tmp_path / 'DeepPCB', tmp_path / 'out', '--longest-side', '320')
    assert done.returncode == 0, done.stderr
    data = find_coco(tmp_path / 'out')
    assert data.classes == ('open', 'short', 'mousebite', 'spur', 'copper', 'pin-hole')
    assert not data.failures
    content = json.loads((tmp_path / 'out' / 'val.json').read_text())
    assert (content['images'][0]['width'], content['annotations'][0]['bbox']) == (
        320, [5, 10, 20, 30])
    assert content['annotations'][0]['category_id'] == 3
    wrong = run('deeppcb.py', tmp_path, tmp_path / 'other')
    assert wrong.returncode == 1 and 'folder of the cloned repository' in wrong.stderr


def test_coco_subset(tmp_path):
    root = tmp_path / 'coco'
    (root / 'annotations').mkdir(parents=True)
    # by the rule of the split, 9 and 25 are for training; 285 is one for validation
    for part, ids in (('train2017', (9, 25)), ('val2017', (285, 30))):
        (root / part).mkdir()
        images = [dict(id=i, file_name=f'{i:012d}.jpg', width=640, height=480) for i in ids]
        for entry in images:
            Image.new('RGB', (640, 480)).save(root / part / entry['file_name'])
        boxes = [dict(id=k, image_id=i, category_id=90, bbox=[2, 4, 60, 80], area=4800, iscrowd=k)
                 for i in ids for k in (0, 1)]
        (root / 'annotations' / f'instances_{part}.json').write_text(json.dumps(dict(
            images=images, annotations=boxes, categories=[
                dict(id=1, name='person'), dict(id=90, name='toothbrush')])))
    (tmp_path / 'ids.txt').write_text('9 25\n285\n')
    done = run('coco_subset.py', root, tmp_path / 'out', '--ids', tmp_path / 'ids.txt',
               '--longest-side', '320')
    assert done.returncode == 0, done.stderr
    data = find_coco(tmp_path / 'out')
    assert data.classes == ('person', 'toothbrush') and not data.failures
    total = data.train.content['annotations'] + data.val.content['annotations']
    assert [box['bbox'] for box in total] == [[1, 2, 30, 40]] * 3
    (tmp_path / 'ids.txt').write_text('9 4711')
    missing = run('coco_subset.py', root, tmp_path / 'x', '--ids', tmp_path / 'ids.txt')
    assert missing.returncode == 1 and '1 of 2 images are not in' in missing.stderr


def test_the_shipped_ids_are_those_of_the_set_beside_the_checkout():
    folder = ROOT.parent / 'shared' / 'data' / 'real' / 'coco_real'
    if not folder.is_dir():
        pytest.skip('needs coco_real beside the checkout')
    sys.path.insert(0, str(TOOLS))
    from coco_subset import IDS, part_of
    wanted = {int(word) for word in IDS.read_text().split()}
    for part in ('train', 'val'):
        found = {e['id'] for e in json.loads((folder / f'{part}.json').read_text())['images']}
        assert found == {i for i in wanted if part_of(i) == part}
