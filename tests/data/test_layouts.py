"""Layouts in which people keep data sets, and what is said of those that are not ours."""
import json
import os
import shutil

import pytest
from cli.conftest import coco, write
from data.sets import good, write_set
from PIL import Image

from ctkd_det_cli.doctor.data import check_data
from ctkd_det_data import DataError, find_coco, reading
from ctkd_det_data.folder import hold_the_same

LAYOUTS = dict(
    coco=dict(train=('annotations/instances_train2017.json', 'train2017'),
              val=('annotations/instances_val2017.json', 'val2017')),
    coco_in_images=dict(train=('annotations/instances_train2014.json', 'images/train2014'),
                        val=('annotations/instances_val2014.json', 'images/val2014')),
    plain=dict(train=('train.json', 'train'), val=('val.json', 'val')),
    one_folder=dict(train=('instances_train.json', 'images'), val=('instances_val.json', 'images')),
    roboflow=dict(train=('train/_annotations.coco.json', 'train'),
                  val=('valid/_annotations.coco.json', 'valid')),
    fiftyone=dict(train=('train/labels.json', 'train/data'),
                  val=('validation/labels.json', 'validation/data')),
    cvat=dict(train=('annotations/instances_Train.json', 'images/Train'),
              val=('annotations/instances_Validation.json', 'images/Validation')),
    cvat_in_lower_case=dict(train=('annotations/instances_train.json', 'images/train'),
                            val=('annotations/instances_validation.json', 'images/validation')),
    cvat_renamed=dict(train=('train.json', 'images/Train'), val=('val.json', 'images/Validation')),
    other_case=dict(train=('Annotations/INSTANCES_Train2017.json', 'Images/TRAIN2017'),
                    val=('Annotations/INSTANCES_Val2017.json', 'Images/VAL2017')),
    fiftyone_moved=dict(train=('train.json', 'train/data'), val=('val.json', 'val/data')))
PLAIN = LAYOUTS['plain']


def group_row(content):
    """Roboflow's: the group first, which no box has."""
    for category, group in zip(content['categories'], ['none', 'pets', 'pets'], strict=True):
        category['supercategory'] = group
    content['annotations'][0]['category_id'] = 2
    return content


@pytest.mark.parametrize('name', LAYOUTS)
def test_layout(name, tmp_path):
    write(tmp_path, LAYOUTS[name], coco(['cat']))
    data = find_coco(tmp_path)
    for part, (ann_file, images) in LAYOUTS[name].items():
        split = getattr(data, part)
        assert (split.ann_file, split.images) == (tmp_path / ann_file, tmp_path / images)
    assert data.classes == ('cat', ) and not data.findings


def test_images_in_folders_of_an_upload_to_cvat(tmp_path):
    content = coco(['cat'])
    content['images'][0]['file_name'] = 'cam0/day0/a.png'
    for part, (ann_file, images) in LAYOUTS['cvat'].items():
        write(tmp_path, {part: (ann_file, f'{images}/cam0/day0')}, content)
    data = find_coco(tmp_path)
    assert not data.findings
    assert (data.train.images, data.val.images) == (
        tmp_path / 'images' / 'Train', tmp_path / 'images' / 'Validation')


def test_a_list_of_classes_is_no_annotation_file(tmp_path):
    write(tmp_path, LAYOUTS['cvat'], coco(['cat']))
    (tmp_path / 'train').mkdir()
    (tmp_path / 'train' / 'labels.json').write_text('["cat"]')
    assert find_coco(tmp_path).train.ann_file == tmp_path / LAYOUTS['cvat']['train'][0]


def test_of_two_spellings_the_exact_one_is_taken(tmp_path):
    """On a disk where both can be; else there is only one of them."""
    write(tmp_path, PLAIN, coco(['cat']))
    write(tmp_path, dict(train=('Train.json', 'Train'), val=('VAL.json', 'VAL')), coco(['dog']))
    data = find_coco(tmp_path)
    assert (data.train.images, data.val.images) == (tmp_path / 'train', tmp_path / 'val')
    if 'train.json' in os.listdir(tmp_path):
        assert data.train.ann_file == tmp_path / 'train.json'


def test_two_spellings_of_which_none_is_exact_are_refused(tmp_path):
    write(tmp_path, dict(val=('val.json', 'val')), coco(['cat']))
    write(tmp_path, dict(train=('train.json', 'Train')), coco(['cat']))
    if (tmp_path / 'TRAIN').exists():
        pytest.skip('this disk ignores letter case')
    (tmp_path / 'TRAIN').symlink_to('Train')
    assert not find_coco(tmp_path).failures  # one folder
    (tmp_path / 'TRAIN').unlink()
    shutil.copytree(tmp_path / 'Train', tmp_path / 'TRAIN')
    with pytest.raises(DataError, match=f"train.json are in {tmp_path / 'TRAIN'} as well as in "
                       f"{tmp_path / 'Train'}. .*rename the folder"):
        find_coco(tmp_path)
    shutil.rmtree(tmp_path / 'Train')
    (tmp_path / 'train.json').rename(tmp_path / 'Train.json')
    shutil.copy(tmp_path / 'Train.json', tmp_path / 'TRAIN.json')
    with pytest.raises(DataError, match='several files for train: TRAIN.json, Train.json'):
        find_coco(tmp_path)


def test_roboflows_group_is_no_class(tmp_path):
    write(tmp_path, LAYOUTS['roboflow'], group_row(coco(['pets', 'cat', 'dog'])))
    assert find_coco(tmp_path).classes == ('cat', 'dog')


def test_a_class_that_no_box_has_stays_a_class(tmp_path):
    """COCO's person is of the supercategory person, and may be absent from a small set."""
    content = coco(['person', 'dog'])
    for category in content['categories']:
        category['supercategory'] = 'person'
    content['annotations'][0]['category_id'] = 2
    write(tmp_path, PLAIN, content)
    data = find_coco(tmp_path)
    assert data.classes == ('person', 'dog')
    findings = {finding.file.name: finding for finding in data.findings}
    assert list(findings) == ['train.json', 'val.json'] and len(data.findings) == 2
    for finding in data.findings:
        assert finding.level == 'warn' and not finding.read_as
        assert "1 of 2 classes have no box here: 'person'" in str(finding)
    assert 'They get no AP, and mAP is that of the others' in findings['val.json'].what
    assert 'AP' not in findings['train.json'].what


def test_a_class_without_a_box_in_validation_only(tmp_path):
    content = coco(['cat', 'dog'])
    write(tmp_path, dict(val=('val.json', 'val')), content)
    content['annotations'].append(dict(content['annotations'][0], id=2, category_id=2))
    write(tmp_path, dict(train=('train.json', 'train')), content)
    (finding, ) = find_coco(tmp_path).findings
    assert finding.file.name == 'val.json' and finding.level == 'warn'
    assert "1 of 2 classes have no box here: 'dog'. They get no AP" in finding.what


def test_another_order_of_the_categories_is_read_right(tmp_path):
    """mmdet's labels are positions in the list: the copy has the order of the training file."""
    write(tmp_path, dict(train=('train.json', 'train')), coco(['cat', 'dog']))
    content = coco(['dog', 'cat'])
    write(tmp_path, dict(val=('val.json', 'val')), content)
    data = find_coco(tmp_path).beside(tmp_path / 'out' / 'config.py')
    assert data.classes == ('cat', 'dog')
    assert [f.read_as for f in data.findings if f.read_as] == ['in the order of train.json']
    assert data.save() == [tmp_path / 'out' / 'config_val.json']
    copy = json.loads(data.val.ann_file.read_text())
    assert [(c['name'], c['id']) for c in copy['categories']] == [('cat', 2), ('dog', 1)]
    assert copy['annotations'] == content['annotations']  # still a dog
    assert copy['info']['cleaned_from'] == str(tmp_path / 'val.json')
    assert json.loads((tmp_path / 'val.json').read_text()) == content
    data.save()  # our own copy may be replaced, another file may not
    data.val.ann_file.write_text('{}')
    with pytest.raises(DataError, match='config_val.json exists'):
        data.save()
    assert data.save(force=True)


def test_other_classes_in_validation_are_refused(tmp_path):
    write(tmp_path, dict(train=('train.json', 'train')), coco(['cat', 'dog']))
    write(tmp_path, dict(val=('val.json', 'val')), coco(['Cat', 'dog']))
    (finding, ) = find_coco(tmp_path).failures
    assert "Boxes of 'Cat' would be unknown to the student" in finding.what


def test_names_that_print_alike_are_told_apart(tmp_path):
    write(tmp_path, dict(train=('train.json', 'train')), coco(['caf\u00e9', 'dog']))
    write(tmp_path, dict(val=('val.json', 'val')), coco(['cafe\u0301', 'dog']))
    (finding, ) = find_coco(tmp_path).failures
    assert r"its categories are 'cafe\u0301', 'dog', those of train.json 'caf\xe9', 'dog'" in \
        finding.what and r"Boxes of 'cafe\u0301' would be" in finding.what


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(DataError, match='instances_train2017.json') as error:
        find_coco(tmp_path)
    assert '_annotations.coco.json' in error.value.message
    assert 'There is no JSON file in it' in error.value.message
    write(tmp_path, PLAIN, coco(['cat']))
    (tmp_path / 'val' / 'a.png').unlink()
    (tmp_path / 'train' / 'a.png').unlink()
    with pytest.raises(DataError, match='a.png, the first image of .*train.json'):
        find_coco(tmp_path)
    (tmp_path / 'train.json').write_text('{"images": []}')
    with pytest.raises(DataError, match='train.json is no COCO annotation file'):
        find_coco(tmp_path)


def test_ambiguity_is_said(tmp_path):
    write(tmp_path, LAYOUTS['coco_in_images'], coco(['cat']))
    write(tmp_path, dict(train=('annotations/instances_train2015.json', 'train')), coco(['cat']))
    with pytest.raises(DataError, match='several files for train'):
        find_coco(tmp_path)


def test_trainval_is_no_training_file(tmp_path):
    write(tmp_path, dict(train=('annotations/instances_trainval.json', 'images'),
                         val=('annotations/instances_val.json', 'images')), coco(['cat']))
    with pytest.raises(DataError, match='instances_trainval.json holds training and validation'):
        find_coco(tmp_path)


def test_images_in_both_parts(tmp_path):
    train, val = coco(['cat']), coco(['cat'])
    train['images'].append(dict(id=2, file_name='b.png', width=40, height=40))
    layout = dict(train=('train.json', 'images'))
    write(tmp_path, layout, train)
    write(tmp_path, dict(val=('val.json', 'images')), val)
    Image.new('RGB', (40, 40)).save(tmp_path / 'images' / 'b.png')
    (finding, ) = find_coco(tmp_path).failures
    assert "1 of 1 images are also in train.json; the first: 'a.png'" in finding.what
    write(tmp_path, dict(train=('train.json', 'images')), val)
    data = find_coco(tmp_path)
    assert data.is_one_file_twice and not data.findings


def test_a_cleaned_copy_that_was_edited_stays(tmp_path):
    root = write_set(tmp_path / 'set', good())
    (root / 'val.json').write_text(json.dumps(dict(
        good(), annotations=[{k: v for k, v in box.items() if k != 'iscrowd'}
                             for box in good()['annotations']])))
    copies = find_coco(root).beside(tmp_path / 'my.py')
    assert copies.save() == [tmp_path / 'my_val.json']
    content = json.loads((tmp_path / 'my_val.json').read_text())
    content['annotations'][0]['bbox'] = [1, 2, 3, 4]
    edited = json.dumps(content)
    (tmp_path / 'my_val.json').write_text(edited)
    with pytest.raises(DataError, match='my_val.json exists and .* was edited since.*--force'):
        copies.save()
    assert (tmp_path / 'my_val.json').read_text() == edited
    copies.save(force=True)
    assert (tmp_path / 'my_val.json').read_text() != edited


def test_a_copy_is_made_once(tmp_path):
    root = write_set(tmp_path / 'set', good())
    content = good()
    for box in content['annotations']:
        box['id'] -= 1
    (root / 'val.json').write_text(json.dumps(content))
    copy = tmp_path / 'my_val.json'
    assert find_coco(root).beside(tmp_path / 'my.py').save() == [copy]
    assert find_coco(root).beside(tmp_path / 'my.py').save() == []
    content['annotations'][0]['bbox'] = [5, 5, 9, 9]
    (root / 'val.json').write_text(json.dumps(content))
    assert find_coco(root).beside(tmp_path / 'my.py').save() == [copy]
    assert json.loads(copy.read_text())['annotations'][0]['bbox'] == [5, 5, 9, 9]
    shutil.copytree(root, tmp_path / 'moved')
    assert find_coco(tmp_path / 'moved').beside(tmp_path / 'my.py').save() == [copy]
    source = json.loads(copy.read_text())['info']['cleaned_from']
    assert source == str(tmp_path / 'moved' / 'val.json')


def test_copies_hold_what_their_source_holds(tmp_path):
    root = write_set(tmp_path / 'set', good())
    content = good()
    for box in content['annotations']:
        box['id'] -= 1
    (root / 'val.json').write_text(json.dumps(content))
    for name in ('one', 'two'):
        find_coco(root).beside(tmp_path / f'{name}.py').save()
    one, two = tmp_path / 'one_val.json', tmp_path / 'two_val.json'
    (tmp_path / 'link').symlink_to(root)
    for file, other in ((one, two), (one, root / 'val.json'), (root / 'val.json', one),
                        (one, tmp_path / 'link' / 'val.json'),
                        (tmp_path / 'gone.json', tmp_path / 'gone.json')):
        assert hold_the_same(file, other), (file, other)
    (root / 'val.json').unlink()
    assert hold_the_same(one, two)  # whatever became of it
    shutil.copy(root / 'train.json', root / 'val.json')
    assert not hold_the_same(root / 'val.json', tmp_path / 'gone.json')
    edited = json.loads(two.read_text())
    edited['annotations'][0]['bbox'] = [1, 1, 2, 2]
    two.write_text(json.dumps(edited))
    assert not hold_the_same(one, two) and not hold_the_same(two, root / 'val.json')
    two.write_text('[]')
    assert not hold_the_same(one, two)


def test_a_folder_in_the_way_of_a_copy(tmp_path):
    root = write_set(tmp_path / 'set', dict(good(), categories=good()['categories'] + [
        good()['categories'][0]]))
    (tmp_path / 'my_val.json').mkdir()
    copies = find_coco(root).beside(tmp_path / 'my.py')
    for force, said in ((False, 'exists and'), (True, 'cannot be written')):
        with pytest.raises(DataError, match=f'my_val.json {said}'):
            copies.save(force)


def two_folders(root):
    """Two images in each part, of the same names and of different content."""
    content = coco(['cat'])
    content['images'].append(dict(id=2, file_name='b.png', width=40, height=40))
    write(root, LAYOUTS['roboflow'], content)
    for part in ('train', 'valid'):
        Image.effect_noise((40, 40), 50).save(root / part / 'b.png')
    return root


def test_copies_in_both_parts(tmp_path):
    assert not find_coco(two_folders(tmp_path)).findings
    shutil.copy(tmp_path / 'train' / 'b.png', tmp_path / 'valid' / 'b.png')
    (finding, ) = find_coco(tmp_path).failures
    train = tmp_path / 'train'
    assert (f"1 of 2 images are also in {train / '_annotations.coco.json'}; the first: 'b.png', a "
            f"copy of {train / 'b.png'}") in finding.what
    data = bytearray((tmp_path / 'valid' / 'b.png').read_bytes())
    data += bytes(2 ** 17)  # as in pictures without compression, whose beginnings may be equal
    (tmp_path / 'train' / 'b.png').write_bytes(data)
    (tmp_path / 'valid' / 'b.png').write_bytes(data[:-1] + b'x')
    assert not find_coco(tmp_path).findings


def test_links_to_the_same_images(tmp_path):
    root = two_folders(tmp_path)
    (root / 'valid' / 'a.png').unlink()
    (root / 'valid' / 'a.png').symlink_to(root / 'train' / 'a.png')
    (finding, ) = find_coco(root).failures
    assert "1 of 2 images are also in" in finding.what and "'a.png'. What" in finding.what
    shutil.rmtree(root / 'valid')
    (root / 'valid').symlink_to('train')
    data = find_coco(root)
    assert data.is_one_file_twice and not data.findings


def test_the_same_image_by_another_path(tmp_path):
    train, val = coco(['cat']), coco(['cat'])
    train['images'].append(dict(id=2, file_name='b.png', width=40, height=40))
    val['images'][0]['file_name'] = '../images/a.png'
    write(tmp_path, dict(train=('train.json', 'images')), train)
    write(tmp_path, dict(val=('val.json', 'images')), val)
    Image.effect_noise((40, 40), 50).save(tmp_path / 'images' / 'b.png')
    assert "train.json; the first: 'a.png'. What" in find_coco(tmp_path).failures[0].what


FOREIGN = dict(
    yolo=({'data.yaml': 'names: [cat]', 'labels/train/a.txt': '0 .5 .5 .1 .1',
           'images/train/a.png': ''}, 'looks like YOLO'),
    yolo_of_roboflow=({'data.yaml': 'names: [cat]', 'train/labels/a.txt': '0 .5 .5 .1 .1'},
                      'looks like YOLO'),
    voc=({'Annotations/a.xml': '<annotation/>', 'JPEGImages/a.jpg': ''}, 'looks like Pascal VOC'),
    one_json=({'annotations.json': coco(['cat'])}, 'annotations.json: 1 images, 1 boxes'),
    fiftyone=({f'{part}/{file}': content for part in ('Training', 'Validation')
               for file, content in (('labels.json', coco(['cat'])), ('data/a.png', ''))},
              '1 boxes. To mend it: labels.json beside data/ is how FiftyOne exports COCO: call'),
    fiftyone_in_one=({'labels.json': coco(['cat']), 'data/a.png': ''},
                     'boxes. To mend it: There is one COCO file, not a part for training'),
    labelme=({'train/a.json': dict(shapes=[], imagePath='a.png', version='5'),
              'train/a.png': ''},
             'looks like labelme (a JSON file for each image): ctkd-det data '),
    labelme2coco=({'train/annotations.json': coco(['cat']),
                   'val/annotations.json': coco(['cat'])},
                  'For train, train/annotations.json is probably meant'),
    cvat=({'annotations/instances_default.json': coco(['cat'])}, 'the COCO export of CVAT'),
    label_studio=({'result.json': coco(['cat']), 'images/a.png': ''},
                  'the COCO export of Label Studio'),
    label_studio_json=({'project-1.json': [dict(data=dict(image='a.png'), annotations=[])]},
                       'not COCO, Label Studio'),
    via=({'via_region_data.json': {'a.png12': dict(regions=[], filename='a.png')}},
         'not COCO, VIA'),
    custom_name=({'custom_train.json': coco(['cat']), 'custom_val.json': coco(['cat'])},
                 'For train, custom_train.json is probably meant: call it train.json'),
    too_high=({'fruit/train.json': coco(['cat']), 'fruit/val.json': coco(['cat'])},
              'The folder that is meant is probably'),
    too_high_in_another_case=({'fruit/Train.json': coco(['cat']), 'fruit/Val.json': coco(['cat'])},
                              'The folder that is meant is probably'),
    no_json=({'broken.json': '{'}, 'broken.json: no JSON'))


@pytest.mark.parametrize('name', FOREIGN)
def test_a_folder_of_another_tool(name, tmp_path):
    files, said = FOREIGN[name]
    for file, content in files.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError) as error:
        find_coco(tmp_path)
    assert said in str(error.value), str(error.value)
    with pytest.raises(DataError, match='The folder that is meant is probably'):
        write(tmp_path / 'x', PLAIN, coco(['cat']))
        find_coco(tmp_path / 'x' / 'train')


def test_each_file_is_read_once_to_describe_a_folder(tmp_path, monkeypatch):
    """Those of labelme hold the images."""
    read = []

    def counted(file, *args):
        read.append(file.name)
        return decoded(file, *args)

    decoded = reading._decoded
    monkeypatch.setattr(reading, '_decoded', counted)
    (tmp_path / 'train').mkdir()
    for name in 'abcdef':
        (tmp_path / 'train' / f'{name}.json').write_text(json.dumps(
            dict(shapes=[], imagePath='a.png', version='5')))
    (tmp_path / 'train' / 'x.json').write_text(json.dumps(coco(['cat'])))
    with pytest.raises(DataError, match='looks like labelme') as error:
        find_coco(tmp_path)
    assert 'For train, train/x.json is probably meant' in error.value.mend
    assert sorted(read) == [f'{name}.json' for name in 'abcdefx']


def test_a_path_in_advice_is_quoted(tmp_path):
    """So that the command can be copied."""
    folder = tmp_path / 'my yolo'
    (folder / 'labels').mkdir(parents=True)
    (folder / 'labels' / 'a.txt').write_text('0 .5 .5 .1 .1')
    with pytest.raises(DataError, match=f"ctkd-det data '{folder}' OUT"):
        find_coco(folder)


@pytest.mark.parametrize('name', ['yolo', 'voc', 'labelme'])
def test_doctor_advises_what_fits_the_folder(name, tmp_path):
    for file, content in FOREIGN[name][0].items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(content if isinstance(content, str) else json.dumps(content))
    (row, ) = check_data(tmp_path, asked=True)
    assert row.state == 'fail' and row.mend.startswith(FOREIGN[name][1].split('(')[0], 5)
    assert f'ctkd-det data {tmp_path} OUT' in row.mend and 'annotations and images' not in row.mend


def test_an_accent_that_macos_spells_in_two_letters(tmp_path):
    composed, apart = 'caf\u00e9.png', 'cafe\u0301.png'
    content = coco(['cat'])
    content['images'][0]['file_name'] = composed
    write(tmp_path, PLAIN, content)
    for image in tmp_path.rglob('a.png'):
        image.rename(image.with_name(apart))
    data = find_coco(tmp_path)
    assert not data.failures
    assert data.train.content['images'][0]['file_name'] == apart
