"""The user's own split is kept in each layout; what decided it is always said."""
import json

import pytest
from cli.conftest import invoke
from data.layouts import files, image, text

from ctkd_det_data import DataError
from ctkd_det_data.convert import convert

XML = ('<annotation><object><name>apple</name><bndbox><xmin>4</xmin><ymin>6</ymin><xmax>24</xmax>'
       '<ymax>36</ymax></bndbox></object></annotation>')
SHAPES = dict(shapes=[dict(label='apple', points=[[4, 6], [24, 36]], shape_type='rectangle')])
HASHED = 'nothing says which images are for validation: a hash of each name draws about 50% of them'


def voc(root, *images):
    """Each image with its annotation beside it."""
    for name in images:
        image(root / f'{name}.jpg')
        text(root / f'{name}.xml', XML)


def labelme(root, *images):
    for name in images:
        image(root / f'{name}.jpg')
        text(root / f'{name}.json', dict(SHAPES, imagePath=f'{name.split("/")[-1]}.jpg'))


def yolo(root, *images):
    text(root / 'data.yaml', 'names: [apple]')
    for name in images:
        image(root / f'{name}.jpg')
        text(root / f'{name}.txt', '0 .5 .5 .25 .5\n')


def coco(root, *images):
    for name in images:
        image(root / f'{name}.jpg')
    text(root / 'all.json', dict(
        images=[dict(id=i, file_name=f'{n}.jpg', width=64, height=48)
                for i, n in enumerate(images, 1)],
        annotations=[dict(id=i, image_id=i, category_id=1, bbox=[4, 6, 20, 30], area=600, iscrowd=0)
                     for i, _ in enumerate(images, 1)], categories=[dict(id=1, name='apple')]))


def parts(root, share=0.5):
    """Images for training and for validation, without suffix, and the notes."""
    _, _, notes = convert(root / 'in', root / 'out', None, share)
    return (*([name.rsplit('.', 1)[0] for name in files(root / 'out', part)]
              for part in ('train', 'val')), notes)


@pytest.mark.parametrize('layout', [voc, labelme, yolo, coco])
@pytest.mark.parametrize('names', [
    'train valid test', 'Train VAL Test', 'train2017 val2017 test2017',
    'training validation testing', 'trainval2007 val_2007 test-2007'])
def test_folders(layout, names, tmp_path):
    train, val, test = names.split()
    layout(tmp_path / 'in', f'{train}/a', f'{val}/b', f'{test}/c', f'{train}/d', 'e')
    got = parts(tmp_path)
    assert got[:2] == ([f'{train}/a', f'{train}/d'], [f'{val}/b'])
    assert got[2] == [f'the folders {", ".join(sorted((train, val, test)))} are the parts',
                      '1 of 5 images are in none of these parts and were left out (the first: '
                      'e.jpg)', '1 test images were left out']


@pytest.mark.parametrize('layout', [voc, labelme, yolo, coco])
def test_test_images_stand_in_for_validation(layout, tmp_path):
    layout(tmp_path / 'in', 'train/a', 'test/b')
    assert parts(tmp_path) == (['train/a'], ['test/b'], [
        'the folders test, train are the parts',
        'there are no validation images: the test images take their place (1)'])


@pytest.mark.parametrize('layout', [voc, labelme, yolo, coco])
@pytest.mark.parametrize('names', [['a', 'b', 'c', 'd'],
                                   ['train/a', 'bus/b', 'car/c', 'car/d'],  # classes
                                   [f'train/{i}' for i in range(6)]])
def test_a_hash_decides_where_nothing_is_said(layout, names, tmp_path):
    layout(tmp_path / 'in', *names)
    train, val, notes = parts(tmp_path)
    assert sorted(train + val) == sorted(names) and train and val and notes == [HASHED]


def test_the_command_prints_what_decided(tmp_path):
    voc(tmp_path / 'in', 'a', 'b', 'c', 'd')
    result = invoke('data', tmp_path / 'in', tmp_path / 'out', '--val-share', '0.5')
    assert result.exit_code == 0 and f'Note: {HASHED}' in result.output


def test_images_that_no_folder_names_are_trained_on_if_none_is_named_train(tmp_path):
    voc(tmp_path / 'in', 'a', 'val/b')
    assert parts(tmp_path)[:2] == (['a'], ['val/b'])


def official(root, **lists):
    for name in ('p0', 'p1', 'photo 1', 'photo', 'img.v2', 'late'):
        image(root / 'in' / 'JPEGImages' / f'{name}.jpg')
        text(root / 'in' / 'Annotations' / f'{name}.xml', XML)
    for name, lines in lists.items():
        text(root / 'in' / 'ImageSets' / 'Main' / f'{name}.txt', lines)
    train, val, notes = parts(root)
    return (*(sorted(name.split('/')[1] for name in part) for part in (train, val)), notes)


def test_vocs_lists(tmp_path):
    """A suffix, a name with a space and a number, a name with a dot, a flag, and one image more."""
    train, val, notes = official(tmp_path, train='p0.jpg\nphoto 1\nimg.v2\n\ngone\n',
                                 val='p1  1\n', test='photo  -1\n', apple_train='late 1\n')
    assert (train, val) == (['img.v2', 'p0', 'photo 1'], ['p1'])
    assert notes[1:] == [
        f'1 lines of ImageSets/Main/train.txt name no image below {tmp_path}/in (the first: '
        "'gone')",
        '1 of 6 images are in none of these parts and were left out (the first: '
        'JPEGImages/late.jpg)', '1 test images were left out']
    assert 'ImageSets/Main/val.txt' in notes[0] and 'apple' not in notes[0]


@pytest.mark.parametrize('train', [{}, dict(train='')])
def test_trainval_and_test(train, tmp_path):
    """VOC 2007 as most train on it."""
    train, val, _ = official(tmp_path, trainval='p0\np1\nphoto 1\nphoto\n', test='img.v2\nlate\n',
                             **train)
    assert (train, val) == (['p0', 'p1', 'photo', 'photo 1'], ['img.v2', 'late'])


def test_all_four_lists(tmp_path):
    train, val, notes = official(tmp_path, trainval='p0\np1\nphoto 1\n', train='p0\nphoto 1',
                                 val='p1', test='photo\nimg.v2\nlate\n')
    assert (train, val) == (['p0', 'photo 1'], ['p1']) and '3 test images were left out' in notes


def test_an_image_that_is_listed_twice_is_not_trained_on(tmp_path):
    train, val, notes = official(tmp_path, train='p0\np1\nphoto', val='p1\nlate', test='photo')
    assert (train, val) == (['p0'], ['late', 'p1'])
    assert any(note.startswith('2 images are listed for training and for validation or test, and '
                               'are not trained on') for note in notes)


def test_a_list_for_training_only(tmp_path):
    train, val, notes = official(tmp_path, train='p0\np1\nphoto 1\nphoto\n')
    assert sorted(train + val) == ['p0', 'p1', 'photo', 'photo 1'] and train and val
    assert any('2 of 6 images are in none' in n for n in notes) and notes[-1] == HASHED


def test_lists_of_other_images(tmp_path):
    with pytest.raises(DataError, match='none of 6 annotated images is in ImageSets/Main/tr'):
        official(tmp_path, train='x0\n', val='x1')


SPLITS = dict(
    lists=('train: train.txt\nval: val.txt', {
        'train.txt': './images/one/a.jpg\nimages/three/b d.jpg\n',
        'val.txt': '/home/me/in/images/two/c.jpg\n'}),
    lists_without_yaml=('', {'train.txt': 'images\\one\\a.jpg\nimages/three/b d',
                             'valid.txt': 'two/c.jpg\n'}),
    folders=('path: ../datasets/x\ntrain: [images/one, images/three]\nval: images/two', {}),
    roboflow=('train: [../images/one, ../images/three]\nval: ../images/two', {}),
    of_another_machine=('train: [/content/in/images/one, /x/images/three]\n'
                        'val: D:\\x\\images\\two', {}),
    both=('train: [lists/some.txt, images/three]\nval: images/two', {
        'lists/some.txt': './images/one/a.jpg\n'}))


@pytest.mark.parametrize('case', SPLITS)
def test_yolos_yaml(case, tmp_path):
    yaml, lists = SPLITS[case]
    yolo(tmp_path / 'in', *(f'images/{name}' for name in ('one/a', 'three/b d', 'two/c', 'zero')))
    for name, content in {**lists, 'data.yaml': f'names: [apple]\n{yaml}'}.items():
        text(tmp_path / 'in' / name, content)
    train, val, notes = parts(tmp_path)
    assert (train, val) == (['images/one/a', 'images/three/b d'], ['images/two/c'])
    assert any('1 of 4 images are in none of these parts' in note for note in notes)


def test_yolos_yaml_names_a_folder_that_is_not_there(tmp_path):
    yolo(tmp_path / 'in', 'images/one/a', 'images/one/b', 'images/one/c', 'images/one/d')
    text(tmp_path / 'in' / 'data.yaml', 'names: [apple]\ntrain: images/one\nval: images/two\n')
    _, _, notes = parts(tmp_path)
    assert f"data.yaml: val is 'images/two', which is not below {tmp_path}/in" in notes
    assert notes[-1] == HASHED


def test_test_images_are_not_trained_on_if_the_yaml_forgets_them(tmp_path):
    yolo(tmp_path / 'in', 'train/a', 'valid/b', 'test/c')
    text(tmp_path / 'in' / 'data.yaml', 'names: [apple]\ntrain: augmented\nval: valid\n')
    train, val, notes = parts(tmp_path)
    assert (train, val) == (['train/a'], ['valid/b'])
    assert notes[-1] == ('1 of 3 images are in none of these parts and were left out (the first: '
                         'test/c.jpg)')


def test_yolos_yaml_with_one_folder_for_both(tmp_path):
    """coco128.yaml."""
    yolo(tmp_path / 'in', 'images/a', 'images/b', 'images/c', 'images/d')
    text(tmp_path / 'in' / 'data.yaml', 'names: [apple]\ntrain: images\nval: images\n')
    train, val, notes = parts(tmp_path)
    assert train and val and 'training and for validation are the same' in notes[1]
    assert notes[-1] == HASHED


def test_two_yaml_files_with_different_parts(tmp_path):
    yolo(tmp_path / 'in', 'images/one/a', 'images/two/b')
    for name, (one, two) in dict(fold1=('one', 'two'), fold2=('two', 'one')).items():
        text(tmp_path / 'in' / f'{name}.yaml',
             f'names: [apple]\ntrain: images/{one}\nval: images/{two}\n')
    with pytest.raises(DataError, match=r'fold1.yaml and \S*fold2.yaml name different parts'):
        parts(tmp_path)


def test_one_name_in_two_folders(tmp_path):
    """A list's name alone is the image of the part's folder; without such a folder it is none."""
    yolo(tmp_path / 'in', 'train/a', 'val/a')
    for part in ('train', 'val'):
        text(tmp_path / 'in' / f'{part}.txt', 'a.jpg\n')
    assert parts(tmp_path)[:2] == (['train/a'], ['val/a'])
    yolo(tmp_path / 'other' / 'in', 'one/a', 'two/a')
    text(tmp_path / 'other' / 'in' / 'train.txt', 'a.jpg\n')
    with pytest.raises(DataError, match=r"train.txt: 'a.jpg' may be \S*one/a.jpg or \S*two/a.jpg"):
        parts(tmp_path / 'other')


def test_a_share_of_the_hash_is_as_before(tmp_path):
    """The hash of a name is that of earlier versions: an image stays in its part."""
    voc(tmp_path / 'in', *(f'{i}' for i in range(10)))
    _, val, _ = parts(tmp_path, 0.3)
    import hashlib
    assert val == [f'{i}' for i in range(10) if int(hashlib.md5(
        f'{i}.jpg'.encode()).hexdigest()[:8], 16) / 16 ** 8 < 0.3]
    assert json.loads((tmp_path / 'out' / 'val.json').read_text())['images'][0]['id'] == 1


@pytest.mark.parametrize('layout', [voc, labelme, yolo, coco])
@pytest.mark.parametrize('folder', ['train', 'val2017', 'test'])
def test_one_folder_is_no_split(layout, folder, tmp_path):
    """Where there is only one part, as in a copy of val2017, a hash splits it."""
    layout(tmp_path / 'in', *(f'{folder}/{name}' for name in 'abcdefgh'))
    train, val, notes = parts(tmp_path)
    assert len(train) + len(val) == 8 and train and val and HASHED in notes


def test_lists_as_cvat_calls_them(tmp_path):
    voc(tmp_path / 'in', *'abcd')
    for name, images in (('Train', 'a\nb\nc'), ('Validation', 'd')):
        text(tmp_path / 'in' / 'ImageSets' / 'Main' / f'{name}.txt', images)
    assert parts(tmp_path)[:2] == (['a', 'b', 'c'], ['d'])


def test_lists_as_cvat_calls_them_for_yolo(tmp_path):
    for part, names in (('Train', 'abc'), ('Validation', 'd')):
        for name in names:
            image(tmp_path / 'in' / f'obj_{part}_data' / f'{name}.jpg')
            text(tmp_path / 'in' / f'obj_{part}_data' / f'{name}.txt', '0 .5 .5 .25 .5\n')
        text(tmp_path / 'in' / f'{part}.txt', '\n'.join(
            f'data/obj_{part}_data/{name}.jpg' for name in names))
    text(tmp_path / 'in' / 'obj.names', 'apple')
    assert parts(tmp_path)[:2] == (
        [f'obj_Train_data/{name}' for name in 'abc'], ['obj_Validation_data/d'])


@pytest.mark.parametrize('train', ['{a: 1}', 'x' * 300, '3'])
def test_a_part_that_is_no_path(train, tmp_path):
    yolo(tmp_path / 'in', *'abcdefgh')
    text(tmp_path / 'in' / 'data.yaml', f'names: [apple]\ntrain: {train}\n')
    train, val, notes = parts(tmp_path)
    assert len(train) + len(val) == 8 and HASHED in notes


def test_pictures_that_roboflow_made_of_one_photo_stay_together(tmp_path):
    from hashlib import md5
    yolo(tmp_path / 'in', *(f'photo{i}_jpg.rf.{md5(bytes([i, k])).hexdigest()}'
                            for i in range(12) for k in range(3)))
    train, val, notes = parts(tmp_path)
    photos = [{name.split('_jpg.rf.')[0] for name in part} for part in (train, val)]
    assert photos[0].isdisjoint(photos[1]) and all(photos) and HASHED in notes
    assert len(train) + len(val) == 36
