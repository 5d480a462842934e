"""Boxes are put on their own image, or the data are refused."""
import pytest
from data.layouts import boxes, files, image, text

from ctkd_det_data import DataError
from ctkd_det_data.convert import convert


def voc(file, left=4, filename=None):
    name = f'<filename>{filename}</filename>' if filename is not None else ''
    text(file, f'<annotation>{name}<object><name>apple</name><bndbox><xmin>{left}</xmin><ymin>6'
         '</ymin><xmax>24</xmax><ymax>36</ymax></bndbox></object></annotation>')


def labelme(file, left=4, filename=None):
    text(file, dict(imagePath=filename, shapes=[dict(
        label='apple', points=[[left, 6], [24, 36]], shape_type='rectangle')]))


KINDS = dict(xml=voc, json=labelme)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def lefts(out):
    """The left side of the box of each image."""
    return {name: box[0] for part in ('train', 'val')
            for name, (_, box, _) in zip(files(out, part), boxes(out, part), strict=True)}


def test_a_stale_name_in_the_file(kind, tmp_path):
    """b.xml was made of a copy of a.xml: its boxes belong to b.jpg."""
    for name in 'ab':
        image(tmp_path / f'{name}.jpg')
    KINDS[kind](tmp_path / f'b.{kind}', filename='a.jpg')
    with pytest.raises(DataError, match=rf'/b.{kind} names the image \S*/a.jpg, but has the name '
                       r'of \S*/b.jpg'):
        convert(tmp_path, tmp_path / 'out')


def test_one_of_the_two_names_is_enough(kind, tmp_path):
    for name in ('a', 'c', 'img.v2', 'scan.1'):
        image(tmp_path / 'in' / f'{name}.jpg')
    for left, (name, stated) in enumerate((('a', 'gone.jpg'), ('b', 'c.jpg'), ('img.v2', ''),
                                           ('scan.1', 'scan.1'))):
        KINDS[kind](tmp_path / 'in' / f'{name}.{kind}', left, stated)
    convert(tmp_path / 'in', tmp_path / 'out', val_share=0.3)
    assert lefts(tmp_path / 'out') == {'a.jpg': 0, 'c.jpg': 1, 'img.v2.jpg': 2, 'scan.1.jpg': 3}


def test_two_files_for_one_image(kind, tmp_path):
    image(tmp_path / 'a.jpg')
    for name in ('a', 'a copy'):
        KINDS[kind](tmp_path / f'{name}.{kind}', filename='a.jpg')
    with pytest.raises(DataError, match=rf'/a copy.{kind} and \S*/a.{kind} both belong to the image'
                       r' \S*/a.jpg|/a.\w+ and \S*/a copy.\w+ both belong to the image'):
        convert(tmp_path, tmp_path / 'out')


def test_images_without_a_file_are_counted(kind, tmp_path):
    for name in 'abcd':
        image(tmp_path / 'in' / f'{name}.jpg')
    for name in 'abd':
        KINDS[kind](tmp_path / 'in' / f'{name}.{kind}')
    notes = convert(tmp_path / 'in', tmp_path / 'out', val_share=0.5)[2]
    assert notes[0] == (f'1 of 4 images have no {kind.upper()} file and were left out (the first: '
                        'c.jpg)')


def test_the_official_layout_of_voc(tmp_path):
    """The masks in SegmentationClass have the names of the images."""
    for name, part in (('2012_0', 'train'), ('2012_1', 'val')):
        image(tmp_path / 'in' / 'JPEGImages' / f'{name}.jpg')
        for folder in ('SegmentationClass', 'SegmentationObject'):
            image(tmp_path / 'in' / folder / f'{name}.png')
        voc(tmp_path / 'in' / 'Annotations' / f'{name}.xml', filename=f'{name}.jpg')
        text(tmp_path / 'in' / 'ImageSets' / 'Main' / f'{part}.txt', name)
    notes = convert(tmp_path / 'in', tmp_path / 'out')[2]
    assert (files(tmp_path / 'out', 'train'), files(tmp_path / 'out')) == (
        ['JPEGImages/2012_0.jpg'], ['JPEGImages/2012_1.jpg']) and len(notes) == 1


@pytest.mark.parametrize('pattern', ['{part}/0001', '{part}/{folder}/0001', '{folder}/{part}/0001'])
def test_one_name_in_two_parts(kind, pattern, tmp_path):
    for left, part in enumerate(('train', 'val')):
        image(tmp_path / 'in' / f'{pattern.format(part=part, folder="images")}.jpg')
        KINDS[kind](tmp_path / 'in' / f'{pattern.format(part=part, folder="Annotations")}.{kind}',
                    left, '0001.jpg')
    convert(tmp_path / 'in', tmp_path / 'out')
    assert lefts(tmp_path / 'out') == {
        f'{pattern.format(part=part, folder="images")}.jpg': left
        for left, part in enumerate(('train', 'val'))}


def test_a_path_in_the_file_is_followed(tmp_path):
    for folder in ('one', 'two'):
        image(tmp_path / 'in' / folder / 'a.jpg')
        image(tmp_path / 'in' / folder / 'b.jpg')
    labelme(tmp_path / 'in' / 'json' / 'a.json', 1, '..\\two\\a.jpg')
    labelme(tmp_path / 'in' / 'json' / 'b.json', 2, '../one/b.jpg')
    convert(tmp_path / 'in', tmp_path / 'out', val_share=0.5)
    assert lefts(tmp_path / 'out') == {'two/a.jpg': 1, 'one/b.jpg': 2}


def test_a_name_that_stays_ambiguous(kind, tmp_path):
    for folder in ('one', 'two'):
        image(tmp_path / folder / 'a.jpg')
    KINDS[kind](tmp_path / 'ann' / f'a.{kind}', filename='a.jpg')
    with pytest.raises(DataError, match=rf'/ann/a.{kind}: its image may be \S*/one/a.jpg or '
                       r'\S*/two/a.jpg'):
        convert(tmp_path, tmp_path / 'out')


def test_a_picture_of_another_kind_beside_it(kind, tmp_path):
    """a.png is the mask of a.jpg; the file names which one it belongs to."""
    for name in ('a.jpg', 'a.png', 'b.jpg'):
        image(tmp_path / 'in' / name)
    for name in 'ab':
        KINDS[kind](tmp_path / 'in' / f'{name}.{kind}', filename=f'{name}.jpg')
    convert(tmp_path / 'in', tmp_path / 'out', val_share=0.5)
    assert set(lefts(tmp_path / 'out')) == {'a.jpg', 'b.jpg'}


def test_the_image_of_another_part(kind, tmp_path):
    """The image of train/a.xml is missing; val/a.jpg is another one."""
    image(tmp_path / 'val' / 'a.jpg')
    KINDS[kind](tmp_path / 'train' / f'a.{kind}')
    with pytest.raises(DataError, match=rf'/train/a.{kind}: the only image of that name is \S*/val/'
                       'a.jpg, of another part'):
        convert(tmp_path, tmp_path / 'out')
