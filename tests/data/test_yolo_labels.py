"""YOLO's text files: rows of poses, and files and images that do not go together."""
import os

import pytest
from data.layouts import boxes, files, image, text

from ctkd_det_data import DataError
from ctkd_det_data.convert import convert

BOX = '0 .5 .5 .25 .5'


def yolo(root, *rows, yaml='', images=('train/a.jpg', 'val/b.jpg')):
    text(root / 'in' / 'data.yaml', f'names: [apple]\n{yaml}\n')
    for name in images:
        image(root / 'in' / 'images' / name)
    for name in ('train/a', 'val/b'):
        text(root / 'in' / 'labels' / f'{name}.txt', '\n'.join(rows or (BOX, )))


def converted(root):
    return convert(root / 'in', root / 'out', 'yolo', 0.5)[2]


@pytest.mark.parametrize('shape, points', [('[2, 3]', ' .1 .2 2 0 0 0'),
                                           ('[3, 2]', ' .1 .2 .9 .9 0 0')])
def test_poses_have_boxes(shape, points, tmp_path):
    """An even number of values was read as a polygon around box and keypoints."""
    yolo(tmp_path, BOX + points, yaml=f'kpt_shape: {shape}')
    converted(tmp_path)
    for part in ('train', 'val'):
        assert boxes(tmp_path / 'out', part) == [('apple', [24, 12, 16, 24], 0)]
    assert '"segmentation"' not in (tmp_path / 'out' / 'train.json').read_text()


@pytest.mark.parametrize('row', [BOX, BOX + ' .1 .2 2', BOX + ' .1 .2 .3 .4'])
def test_a_row_that_is_no_pose(row, tmp_path):
    yolo(tmp_path, BOX + ' .1 .2 2 0 0 0', row, yaml='kpt_shape: [2, 3]')
    with pytest.raises(DataError, match=rf'a.txt, line 2 has {len(row.split())} numbers; with '
                       'kpt_shape in the YAML file there are 11'):
        converted(tmp_path)


@pytest.mark.parametrize('shape', ['17', '[17]', '[a, 3]', '[0, 3]'])
def test_a_shape_of_poses_that_is_none(shape, tmp_path):
    yolo(tmp_path, yaml=f'kpt_shape: {shape}')
    with pytest.raises(DataError, match='data.yaml: kpt_shape is .*, not the number of keypoints'):
        converted(tmp_path)


def test_labels_without_an_image_are_counted(tmp_path):
    yolo(tmp_path)
    text(tmp_path / 'in' / 'labels' / 'gone.txt', BOX)
    text(tmp_path / 'in' / 'labels' / 'classes.txt', 'apple')
    text(tmp_path / 'in' / 'README.txt', b'Made by J\xf6rg')
    assert converted(tmp_path)[0] == ('1 text files have labels, but no image (the first: '
                                      'labels/gone.txt)')


def test_one_text_file_for_two_images(tmp_path):
    yolo(tmp_path, images=('train/a.jpg', 'train/a.png', 'val/b.jpg'))
    with pytest.raises(DataError, match=r'a.txt belongs to two images, \S*a.jpg and \S*a.png'):
        converted(tmp_path)


def test_two_text_files_for_one_image(tmp_path):
    yolo(tmp_path)
    text(tmp_path / 'in' / 'images' / 'train' / 'a.txt', BOX)
    converted(tmp_path)
    text(tmp_path / 'in' / 'images' / 'train' / 'a.txt', '0 .5 .5 .5 .5')
    with pytest.raises(DataError, match=r'images/train/a.txt and \S*labels/train/a.txt both be'):
        converted(tmp_path)


def test_a_part_on_another_disk(tmp_path):
    yolo(tmp_path, images=())
    for part, name in (('train', 'a'), ('val', 'b')):
        image(tmp_path / 'disk' / part / f'{name}.jpg')
        (tmp_path / 'in' / 'images').mkdir(exist_ok=True)
        (tmp_path / 'in' / 'images' / part).symlink_to(tmp_path / 'disk' / part)
    converted(tmp_path)
    assert files(tmp_path / 'out', 'train') == ['images/train/a.jpg']
    assert files(tmp_path / 'out') == ['images/val/b.jpg']
    assert boxes(tmp_path / 'out') == [('apple', [24, 12, 16, 24], 0)]


def test_links_in_a_circle(tmp_path):
    yolo(tmp_path)
    (tmp_path / 'in' / 'images' / 'up').symlink_to('..')
    (tmp_path / 'in' / 'images' / 'self').symlink_to('.')
    converted(tmp_path)
    assert files(tmp_path / 'out', 'train') == ['images/train/a.jpg']
    os.symlink('images', tmp_path / 'in' / 'pictures')
    with pytest.raises(DataError, match=r'in/images and \S*in/pictures are one folder, by a link'):
        converted(tmp_path)


@pytest.mark.parametrize('name', ['images/train/c.jpg', 'images/extra'])
def test_a_link_to_a_disk_that_is_not_there(name, tmp_path):
    yolo(tmp_path)
    (tmp_path / 'in' / name).symlink_to('/mnt/gone')
    with pytest.raises(DataError, match=f'{name} is a link to /mnt/gone, which is not there'):
        converted(tmp_path)


def test_jfif_images(tmp_path):
    yolo(tmp_path)
    images = tmp_path / 'in' / 'images' / 'train'
    (images / 'a.jpg').rename(images / 'a.jfif')
    converted(tmp_path)
    assert files(tmp_path / 'out', 'train') == ['images/train/a.jfif']


def test_labels_in_another_encoding(tmp_path):
    yolo(tmp_path)
    text(tmp_path / 'in' / 'labels' / 'train' / 'a.txt', b'0 .5 .5 .25 .5 # \xe4')
    with pytest.raises(DataError, match='labels/train/a.txt is not encoded in UTF-8'):
        converted(tmp_path)


@pytest.mark.parametrize('picture, label', [
    ('images/{0}/cafe\u0301{0}.jpg', 'labels/{0}/caf\u00e9{0}.txt'),
    ('images/{0}/caf\u00e9{0}.jpg', 'labels/{0}/cafe\u0301{0}.txt'),
    ('{0}/{0}0.jpg', '{0}/{0}0.TXT'), ('{0}/IMG{0}.JPG', '{0}/img{0}.txt'),
    ('Images/{0}/{0}.jpg', 'Labels/{0}/{0}.txt'), ('IMAGES/{0}/{0}.jpg', 'labels/{0}/{0}.Txt')])
def test_a_name_that_is_spelt_otherwise(picture, label, tmp_path):
    """Of such images it was said that nothing is in them."""
    text(tmp_path / 'in' / 'data.yaml', 'names: [apple]')
    for part in ('train', 'val'):
        image(tmp_path / 'in' / picture.format(part))
        text(tmp_path / 'in' / label.format(part), BOX)
    kind, _, notes = convert(tmp_path / 'in', tmp_path / 'out')
    assert kind == 'yolo' and not [note for note in notes if 'text file' in note]
    for part in ('train', 'val'):
        assert boxes(tmp_path / 'out', part) == [('apple', [24, 12, 16, 24], 0)]


def test_the_exact_name_comes_first(tmp_path):
    yolo(tmp_path, images=('train/a.jpg', 'train/A.jpg', 'val/b.jpg'))
    assert '1 of 3 images have no text file: nothing is in them' in converted(tmp_path)
    labels = tmp_path / 'in' / 'labels' / 'train'
    (labels / 'a.txt').rename(labels / 'a.TXT')
    with pytest.raises(DataError, match=r'a.TXT belongs to two images, \S*A.jpg and \S*a.jpg'):
        converted(tmp_path)
    (tmp_path / 'in' / 'images' / 'train' / 'A.jpg').unlink()
    text(labels / 'A.txt', '0 .5 .5 .5 .5')
    with pytest.raises(DataError, match=r'A.txt and \S*a.TXT both belong to the image \S*a.jpg'):
        converted(tmp_path)


def test_boxes_of_a_tracker_are_no_triangles(tmp_path):
    """CLASS X Y WIDTH HEIGHT CONFIDENCE TRACK has the form of three points."""
    track = '0 .5 .5 .2 .2 .9 1'
    yolo(tmp_path, track, track)
    with pytest.raises(DataError, match=r'all 4 lines have seven numbers, .*labels/train/a.txt'):
        converted(tmp_path)
    yolo(tmp_path, track, BOX)
    assert converted(tmp_path)[0] == (
        '2 of 4 lines are read as polygons, not as boxes (the first is in labels/train/a.txt). This'
        ' is right for outlines, and wrong for boxes with a confidence and a track behind them')


def test_triangles_stay(tmp_path):
    yolo(tmp_path, '0 .5 .5 .2 .2 .9 1', '0 .5 .5 .2 .2 .9 .75')
    converted(tmp_path)
    assert len(boxes(tmp_path / 'out')) == 2
