"""Layouts in which people keep data sets in COCO's format."""
import click
import pytest

from cli.conftest import coco, write
from ctkd_det_cli.distill.coco_folder import find_coco

LAYOUTS = dict(
    coco=dict(train=('annotations/instances_train2017.json', 'train2017'),
              val=('annotations/instances_val2017.json', 'val2017')),
    coco_in_images=dict(train=('annotations/instances_train2014.json', 'images/train2014'),
                        val=('annotations/instances_val2014.json', 'images/val2014')),
    plain=dict(train=('train.json', 'train'), val=('val.json', 'val')),
    one_folder=dict(train=('instances_train.json', 'images'), val=('instances_val.json', 'images')),
    roboflow=dict(train=('train/_annotations.coco.json', 'train'),
                  val=('valid/_annotations.coco.json', 'valid')))


@pytest.mark.parametrize('name', LAYOUTS)
def test_layout(name, tmp_path):
    write(tmp_path, LAYOUTS[name], coco(['cat', 'dog']))
    data = find_coco(tmp_path)
    for part, (ann_file, images) in LAYOUTS[name].items():
        split = getattr(data, part)
        assert (split.ann_file, split.images) == (tmp_path / ann_file, tmp_path / images)
    assert data.classes == ('cat', 'dog')


def test_roboflows_group_is_no_class(tmp_path):
    content = coco(['pets', 'cat', 'dog'])
    for category, group in zip(content['categories'], ['none', 'pets', 'pets'], strict=True):
        category['supercategory'] = group
    content['annotations'][0]['category_id'] = 2
    write(tmp_path, LAYOUTS['roboflow'], content)
    assert find_coco(tmp_path).classes == ('cat', 'dog')


def test_a_class_that_no_box_has_stays_a_class(tmp_path):
    """COCO's person is of the supercategory person, and may be absent from a small set."""
    content = coco(['person', 'dog'])
    for category in content['categories']:
        category['supercategory'] = 'person'
    content['annotations'][0]['category_id'] = 2
    write(tmp_path, LAYOUTS['plain'], content)
    assert find_coco(tmp_path).classes == ('person', 'dog')


def test_another_order_of_the_categories_would_mix_up_the_labels(tmp_path):
    write(tmp_path, dict(train=('train.json', 'train')), coco(['cat', 'dog']))
    write(tmp_path, dict(val=('val.json', 'val')), coco(['dog', 'cat']))
    with pytest.raises(click.ClickException, match='same order'):
        find_coco(tmp_path)


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(click.ClickException, match='instances_train2017.json') as error:
        find_coco(tmp_path)
    assert '_annotations.coco.json' in error.value.message
    write(tmp_path, LAYOUTS['plain'], coco(['cat']))
    (tmp_path / 'val' / 'a.png').unlink()
    with pytest.raises(click.ClickException, match='a.png, the first image of .*val.json'):
        find_coco(tmp_path)
    (tmp_path / 'val.json').write_text('{"images": []}')
    with pytest.raises(click.ClickException, match='val.json is no COCO annotation file'):
        find_coco(tmp_path)


def test_ambiguity_is_said(tmp_path):
    write(tmp_path, LAYOUTS['coco_in_images'], coco(['cat']))
    write(tmp_path, dict(train=('annotations/instances_train2015.json', 'train')), coco(['cat']))
    with pytest.raises(click.ClickException, match='several files for train'):
        find_coco(tmp_path)
