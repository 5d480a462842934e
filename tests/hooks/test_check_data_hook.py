"""The hook in real trainings: what it stops, what it only says, what it passes over."""
import copy
import json
import logging
import shutil

import pytest
from data.sets import ODD, good, write_set
from mmdet.registry import DATASETS
from mmengine.config import Config

from ctkd_det.datasets import configured
from ctkd_det.datasets.configured import check_data
from ctkd_det_cli.training.data import look_at_data
from ctkd_det_data import DataError
from helpers import CLASSES, make_shapes, run, student_config

NAMES = ('apple', 'pear')


@pytest.fixture(autouse=True)
def nothing_seen():
    configured._FIT.clear()


def config(root, **metainfo):
    """The shapes student, whose default hooks look at the data, on a set of :mod:`data.sets`."""
    cfg = student_config(root, max_epochs=1)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.data_prefix = dict(img='images/')
        loader.dataset.metainfo = metainfo or dict(classes=NAMES)
        loader.dataset.ann_file = 'train.json'
    cfg.val_evaluator.ann_file = str(root / 'train.json')
    cfg.model.roi_head.bbox_head.num_classes = 2
    return cfg


def odd(root, name):
    content = good()
    ODD[name][0](content)
    return write_set(root, content)


def said(cfg, **kwargs):
    """All findings but the one on these configs' validation images, which are the training's."""
    return '\n'.join(str(f) for f in check_data(cfg, **kwargs) if 'no validation' not in f.what)


def test_a_good_set_trains_and_is_looked_at_once(tmp_path, caplog):
    cfg = config(write_set(tmp_path / 'set', good()))
    val = write_set(tmp_path / 'val', good())
    cfg.val_dataloader.dataset.data_root = str(val)
    cfg.val_evaluator.ann_file = str(val / 'train.json')
    assert check_data(copy.deepcopy(cfg)) == [] and len(configured._FIT) == 1
    with caplog.at_level(logging.WARNING):
        run(cfg, tmp_path / 'work')
    assert len(configured._FIT) == 1
    assert not any('train.json' in record.getMessage() for record in caplog.records)


def test_validation_that_is_training_is_said(tmp_path, monkeypatch):
    """Also where one path is relative, as in a config that others have begun."""
    monkeypatch.chdir(write_set(tmp_path / 'set', good()))
    cfg = config(tmp_path / 'set')
    cfg.val_dataloader.dataset.data_root = ''
    assert 'set/train.json. What is measured on them is no validation' in '\n'.join(
        map(str, check_data(cfg)))


def test_a_wrong_one_stops_before_the_first_step(tmp_path):
    cfg = config(odd(tmp_path / 'set', 'group_named_like_a_class'))
    with pytest.raises(DataError, match="'apple' is listed 2 times") as error:
        run(cfg, tmp_path / 'work')
    assert 'delete the row of id 0' in str(error.value)
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_a_doubtful_one_warns(tmp_path, caplog):
    cfg = config(odd(tmp_path / 'set', 'id_0'))
    run(cfg, tmp_path / 'work')
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    assert '1 of 4 boxes have the id 0' in log and 'WARNING' in log


def test_an_evaluator_judges_by_the_images_that_are_looked_at(tmp_path):
    """Ids of images count from 1 in every file: a perfect detector would get mAP 0."""
    cfg = config(write_set(tmp_path / 'set', good()))
    other = good()
    for image in other['images']:
        image['file_name'] = 'other_' + image['file_name']
    (tmp_path / 'other.json').write_text(json.dumps(other))
    shutil.copy(tmp_path / 'set' / 'train.json', tmp_path / 'copy.json')
    (tmp_path / 'half.json').write_text('{')
    for file, words in (('other.json', 'has other images'), ('gone.json', 'is not there'),
                        ('half.json', 'is no complete JSON'), ('copy.json', '')):
        cfg.val_evaluator.ann_file = str(tmp_path / file)
        found = said(cfg, strict=False)
        configured._FIT.clear()
        assert words in found and bool(words) == bool(found)
        if words:
            with pytest.raises(DataError, match='val_evaluator'):
                check_data(cfg)
        configured._FIT.clear()


def test_strict_off_trains_all_the_same(tmp_path, capsys):
    cfg = config(odd(tmp_path / 'set', 'categories_from_0'))
    cfg.custom_hooks = [dict(type='CheckDataHook', strict=False)]  # in place of the default one
    look_at_data(cfg)
    assert 'category 2 is in 2 of 4 boxes' in capsys.readouterr().err
    configured._FIT.clear()
    run(cfg, tmp_path / 'work')
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    assert log.count('category 2 is in 2 of 4 boxes') == 1


@pytest.mark.parametrize('metainfo, words', [
    (dict(CLASSES=NAMES), "metainfo has 'CLASSES', which MMDetection ignores"),
    (dict(classes=('aple', 'pear')), "is 'aple' meant to be 'apple'?"),
    (dict(classes=('pear', 'apple')), "MMDetection takes 'apple' for 'pear'"),
    (dict(classes=('Apple', 'Pear')), 'none of the 2 classes of the config'),
    (dict(classes='apple'), "classes=('apple', ), with the comma"),
    (dict(classes=('apple', )), 'the head of the model has num_classes=2')])
def test_classes_of_the_config(metainfo, words, tmp_path):
    cfg = config(write_set(tmp_path, good()), **metainfo)
    with pytest.raises(DataError) as error:
        check_data(cfg)
    assert words in str(error.value)


def test_eighty_names_for_a_head_of_two(tmp_path):
    cfg = config(write_set(tmp_path, good()), CLASSES=NAMES)
    with pytest.raises(DataError, match='80 classes .*num_classes=2'):
        check_data(cfg)


def test_a_deliberate_choice_of_classes_is_counted(tmp_path):
    cfg = config(write_set(tmp_path, good()), classes=('apple', ))
    cfg.model.roi_head.bbox_head.num_classes = 1
    assert "2 of 4 boxes are left out, because the config does not name their categories: 'pear'" \
        in said(cfg)


def test_wrappers_are_looked_into(tmp_path):
    bad = odd(tmp_path / 'bad', 'one_id_two_images')
    cfg = config(write_set(tmp_path / 'set', good()))
    inner = cfg.train_dataloader.dataset
    other = copy.deepcopy(inner)
    other.data_root = str(bad)
    cfg.train_dataloader.dataset = Config(dict(
        d=dict(type='RepeatDataset', times=2,
               dataset=dict(type='ConcatDataset', datasets=[inner, other])))).d
    with pytest.raises(DataError, match="bad/train.json: 1 of 3 images have the id of another"):
        check_data(cfg)


def test_other_data_sets_are_passed_over(tmp_path):
    cfg = config(write_set(tmp_path, good()))
    cfg.train_dataloader.dataset.type = 'LVISV1Dataset'
    cfg.val_dataloader.dataset.update(ann_file='s3://bucket/val.json')
    assert said(cfg) == ''
    cfg.val_dataloader = None
    assert said(cfg) == ''


def test_a_list_of_files_is_of_another_mmdetection(tmp_path):
    """CocoDataset itself ends with a TypeError about a path."""
    cfg = config(write_set(tmp_path, good()))
    cfg.train_dataloader.dataset.ann_file = ['train.json', 'val.json']
    with pytest.raises(TypeError, match='not list'):
        DATASETS.build(cfg.train_dataloader.dataset)
    for strict in (True, False):
        with pytest.raises(DataError, match="train data set has a list of 2 files.*ConcatDataset"):
            check_data(cfg, strict=strict)
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[
        dict(cfg.train_dataloader.dataset, ann_file=file) for file in ('train.json', 'val.json')])
    assert said(cfg) == ''


def test_a_missing_file_is_said(tmp_path):
    cfg = config(tmp_path)
    with pytest.raises(DataError, match='there is no annotation file'):
        check_data(cfg)


def test_masks_need_three_points(tmp_path):
    cfg = config(odd(tmp_path, 'two_points'))
    assert said(cfg) == ''  # a box detector does not look at them
    cfg.train_dataloader.dataset.pipeline[1].with_mask = True
    with pytest.raises(DataError, match='fewer than three points'):
        check_data(cfg)


def test_before_a_test_it_warns(tmp_path):
    from mmengine.runner import Runner
    cfg = config(odd(tmp_path / 'set', 'id_0'))
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    cfg.work_dir = str(tmp_path / 'work')
    cfg.experiment_name = 'tested'
    Runner.from_cfg(cfg).test()
    assert 'have the id 0' in next((tmp_path / 'work').glob('*/*.log')).read_text()


def test_our_own_data_are_fit(tmp_path):
    root = make_shapes(tmp_path / 'shapes')
    cfg = student_config(root)
    assert cfg.train_dataloader.dataset.metainfo.classes == CLASSES
    findings = check_data(cfg)
    assert all('classes have no box here' in f.what for f in findings), said(cfg)
    shutil.rmtree(root / 'train')
    configured._FIT.clear()
    with pytest.raises(DataError, match='8 of 8 images are not in'):
        check_data(cfg)
