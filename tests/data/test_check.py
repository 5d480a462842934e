"""What is said of each kind of odd data set, and what a perfect detector scores on the rest."""
import contextlib
import io
import json

import pytest
from click.testing import CliRunner
from data.sets import BOXES, BYTES, FILES, ODD, good, write_set
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ctkd_det_cli.doctor.data import check_data
from ctkd_det_data import DataError, find_coco

CASES = {**{name: (change, None, *rest) for name, (change, *rest) in ODD.items()},
         **{name: (None, files, *rest) for name, (files, *rest) in FILES.items()},
         **{name: (content, None, *rest) for name, (content, *rest) in BYTES.items()}}


def make(root, name):
    change, files = CASES[name][:2]
    if isinstance(change, bytes):
        return write_set(root, change)
    content = good()
    if change:
        change(content)
    return write_set(root, content, files)


def perfect_map(ann_file, classes):
    """mAP of the boxes that mmdet would train on, as detections of score 1."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(ann_file))
        found = [dict(image_id=b['image_id'], category_id=b['category_id'], bbox=b['bbox'], score=1)
                 for b in truth.dataset['annotations'] if not b['iscrowd']]
        evaluation = COCOeval(truth, truth.loadRes(found), 'bbox')
        evaluation.params.catIds = truth.getCatIds(catNms=classes)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert len(evaluation.params.catIds) == len(classes)
    return evaluation.stats[0]


def learnt(ann_file, classes):
    """(image file, label, box) of what mmdet's CocoDataset loads."""
    from mmdet.datasets import CocoDataset
    with contextlib.redirect_stdout(io.StringIO()):
        data = CocoDataset(ann_file=str(ann_file), metainfo=dict(classes=classes),
                           data_prefix=dict(img=''), pipeline=[],
                           filter_cfg=dict(filter_empty_gt=True, min_size=32))
    return sorted((entry['img_path'], box['bbox_label'], [round(v, 4) for v in box['bbox']])
                  for entry in data for box in entry['instances'] if not box['ignore_flag'])


def look_as_a_training_does(data):
    """What ``--data`` accepts, the training that follows accepts, or a DataError is raised."""
    from ctkd_det.datasets import configured
    configured.check_data({f'{name}_dataloader': dict(dataset=dict(
        type='CocoDataset', ann_file=str(part.ann_file), metainfo=dict(classes=data.classes),
        data_prefix=dict(img=str(part.images)), test_mode=name == 'val'))
        for name, part in (('train', data.train), ('val', data.val))})


@pytest.mark.parametrize('name', CASES)
def test_verdict(name, tmp_path):
    verdict, said = CASES[name][2:]
    root = make(tmp_path / 'set', name)
    before = (root / 'train.json').read_bytes()
    try:
        data = find_coco(root)
    except DataError as error:
        assert verdict == 'refused' and said in str(error) and 'train.json' in str(error), error
        return
    printed = '\n'.join(map(str, data.findings))
    assert said in printed, printed
    assert bool(data.failures) == (verdict == 'refused'), printed
    assert bool(data.findings) == (verdict != 'ok'), printed
    if verdict == 'refused':
        return
    copies = data.beside(tmp_path / 'config.py')
    copies.save()
    if verdict in ('mended', 'warn'):
        assert any(f.read_as for f in data.findings) == (verdict == 'mended') or name in (
            'one_ignored', ), printed
    look_as_a_training_does(copies)
    assert perfect_map(copies.val.ann_file, data.classes) == pytest.approx(1)
    found = learnt(copies.train.ann_file, data.classes)
    assert len(found) == data.train.usable
    assert (root / 'train.json').read_bytes() == before
    assert not find_coco(root).failures  # and the copies lie elsewhere
    if verdict == 'mended' and name not in CHANGED:
        assert found == EXPECTED
    again = write_set(tmp_path / 'again', json.loads(copies.val.ann_file.read_text()),
                      CASES[name][1])
    assert not [f for f in find_coco(again).findings if f.read_as]  # cleaned is clean


EXPECTED = sorted((f'{"abc"[image - 1]}.png', category - 1,
                   [float(v) for v in (x, y, x + w, y + h)])
                  for image, category, (x, y, w, h) in BOXES)
# a box fewer, or another one
CHANGED = ('iscrowd_word', 'an_unknown_image', 'zero_width', 'outside', 'over_the_edge')


def test_every_verdict_reaches_the_table(tmp_path):
    """One row that sums up, one for each finding; never a traceback."""
    for name, (_, _, verdict, said) in CASES.items():
        rows = list(check_data(make(tmp_path / name, name), asked=True))
        states = [row.state for row in rows]
        assert states[0] == dict(ok='ok', mended='warn', warn='warn', refused='fail')[verdict], name
        assert all(row.mend for row in rows if row.state != 'ok' and row is not rows[0]), name
        assert said in '\n'.join(row.found for row in rows)


def test_boxes_that_reach_the_student_are_counted(tmp_path):
    root = make(tmp_path / 'set', 'under_a_pixel')
    assert '3 of 4 boxes are learnt from, 4 of 4 boxes evaluated on' in next(
        check_data(root, True)).found


def test_small_images_are_left_out(tmp_path):
    from PIL import Image
    content = good()
    for entry in content['images']:
        entry.update(width=30, height=30)
    for box in content['annotations']:
        box.update(bbox=[1, 1, 20, 20], area=400)
    root = write_set(tmp_path, content, {
        f'{n}.png': lambda path: Image.new('RGB', (30, 30)).save(path) for n in 'abc'})
    assert any('less than 32 pixels' in f.what for f in find_coco(root).failures)


def test_many_corners_are_no_suspicion_but_a_certainty(tmp_path):
    content = good()
    content['annotations'] = [
        dict(id=i + 1, image_id=1 + i % 3, category_id=1 + i % 2,
             bbox=[i + 8, i + 2, i + 30, i + 20], area=1, iscrowd=0) for i in range(20)]
    assert any('corners' in f.what for f in find_coco(write_set(tmp_path, content)).failures)


def test_without_pillow_sizes_are_not_judged(tmp_path, monkeypatch):
    import sys
    root = make(tmp_path, 'twice_as_large')
    monkeypatch.setitem(sys.modules, 'PIL', None)
    assert not find_coco(root).findings


@pytest.mark.parametrize('name', ['no_area', 'one_id_two_images', 'a_list'])
def test_distill_refuses_or_says_how_it_reads(name, tmp_path):
    import click

    from ctkd_det_cli.distill.data import find_data, save
    root = make(tmp_path, name)
    runner = CliRunner()

    @click.command()
    def command():
        save(find_data(root).beside(tmp_path / 'config.py'), force=False)

    result = runner.invoke(command)
    if name == 'no_area':
        assert result.exit_code == 0
        assert "have no 'area'" in result.stderr and 'Read as: width x height.' in result.stderr
    else:
        assert result.exit_code == 1 and result.stderr.startswith('Error: ')


@pytest.mark.parametrize('name', ['image_ids_above_2_to_the_63', 'image_ids_above_2_to_the_53'])
def test_large_ids_stop_an_evaluation_only(name, tmp_path):
    levels = {f.file.name: f.level for f in find_coco(make(tmp_path, name)).findings}
    assert levels == {'train.json': 'warn', 'val.json': 'fail'}


@pytest.mark.parametrize('kind, number, said, level', [
    ('crowd', 5, 'are crowds', None), ('crowd', 6, 'are crowds', 'warn'),
    ('unknown', 5, 'belong to no category', 'warn'), ('unknown', 6, 'belong to no cat', 'fail'),
    ('again', 1, 'repeat another box', None), ('again', 2, 'repeat another box', 'warn'),
    ('outside', 29, 'by more than a pixel', 'warn'), ('outside', 30, 'are they corners', 'fail')])
def test_a_few_of_a_hundred_boxes_say_less_than_many(kind, number, said, level, tmp_path):
    content = good()
    found = content['annotations'] = [
        dict(id=i + 1, image_id=1 + i % 3, category_id=1 + i % 2, area=144, iscrowd=0,
             bbox=[i % 10, i // 10, 12, 12]) for i in range(100)]
    for box in found[:number]:
        if kind == 'again':
            found.append(dict(box, id=len(found) + 1))
        box.update(dict(crowd=dict(iscrowd=1), unknown=dict(category_id=77), again={},
                        outside=dict(bbox=[*box['bbox'][:2], 70, 12]))[kind])
    levels = {f.level for f in find_coco(write_set(tmp_path, content)).findings if said in f.what}
    assert levels == ({level} if level else set())
