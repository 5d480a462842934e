"""Small sets in other layouts become COCO's, with the boxes where they were."""
import json

import pytest
from cli.conftest import invoke
from data.layouts import boxes, image, text

from ctkd_det_data import DataError, find_coco
from ctkd_det_data.convert import convert

XML = """<annotation><filename>{name}.jpg</filename><source><database>{database}</database></source>
<size><width>{width}</width><height>{height}</height></size>
<object><name>pear</name><bndbox><xmin>4</xmin><ymin>6</ymin><xmax>24</xmax><ymax>36</ymax></bndbox>
</object><object><name>apple</name><difficult>1</difficult><bndbox><xmin>1</xmin><ymin>1</ymin>
<xmax>11</xmax><ymax>11</ymax></bndbox></object></annotation>"""


def voc(root, size=(64, 48), stated=(64, 48), database='mine'):
    for name in 'abcd':
        image(root / 'JPEGImages' / f'{name}.jpg', size)
        text(root / 'Annotations' / f'{name}.xml', XML.format(
            name=name, width=stated[0], height=stated[1], database=database))
    text(root / 'ImageSets' / 'Main' / 'train.txt', 'a\nb\nc\n')
    text(root / 'ImageSets' / 'Main' / 'val.txt', 'd\n')
    return root


def test_voc(tmp_path):
    kind, numbers, notes = convert(voc(tmp_path / 'voc'), tmp_path / 'out')
    assert (kind, numbers) == ('voc', dict(train=3, val=1))
    assert notes == ['the parts are those of ImageSets/Main/train.txt, ImageSets/Main/val.txt']
    assert boxes(tmp_path / 'out') == [('pear', [4, 6, 20, 30], 0), ('apple', [1, 1, 10, 10], 1)]
    data = find_coco(tmp_path / 'out')
    assert data.classes == ('apple', 'pear') and not data.failures
    assert (data.train.usable, data.train.total) == (3, 6)


def test_vocs_own_pixels_count_from_one(tmp_path):
    convert(voc(tmp_path / 'voc', database='The VOC2007 Database'), tmp_path / 'out')
    assert boxes(tmp_path / 'out')[0] == ('pear', [3, 5, 21, 31], 0)


def test_images_that_were_enlarged(tmp_path):
    """NEU-DET: boxes for 200 pixels, images of 416; unscaled, all would be in the upper left."""
    _, _, notes = convert(voc(tmp_path / 'voc', size=(128, 96)), tmp_path / 'out')
    assert notes[0] == ('4 of 4 images have another size than their XML file says (the first: '
                        'a.jpg is 128 x 96): their boxes were scaled')
    assert boxes(tmp_path / 'out')[0] == ('pear', [8, 12, 40, 60], 0)


def test_images_of_another_shape_are_refused(tmp_path):
    with pytest.raises(DataError, match='a.xml: the image is 48 x 64, stated is 64 x 48'):
        convert(voc(tmp_path / 'voc', size=(48, 64)), tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def change(root, *pairs):
    """Replaces text in all XML files."""
    for file in (root / 'Annotations').iterdir():
        content = file.read_text()
        for old, new in pairs:
            content = content.replace(old, new)
        file.write_text(content)
    return root


def test_corners_in_another_order(tmp_path):
    source = change(voc(tmp_path / 'voc'), ('<xmin>4<', '<xmin>24<'), ('<xmax>24<', '<xmax>4<'),
                    ('<ymin>6<', '<ymin>36<'), ('<ymax>36<', '<ymax>6<'))
    convert(source, tmp_path / 'out')
    assert boxes(tmp_path / 'out')[0] == ('pear', [4, 6, 20, 30], 0)


@pytest.mark.parametrize('value', ['nan', 'inf', '1_0', ''])
def test_a_corner_that_is_no_number(value, tmp_path):
    source = change(voc(tmp_path / 'voc'), ('<xmin>4<', f'<xmin>{value}<'))
    with pytest.raises(DataError, match=f"a.xml: bndbox/xmin is '{value}', not a number"):
        convert(source, tmp_path / 'out')


@pytest.mark.parametrize('value, ignored', [
    ('true', 1), ('1.0', 1), (' 1 ', 1), ('False', 0), ('0.0', 0), ('', 0),
    ('Unspecified', 0)])
def test_difficult_in_words(value, ignored, tmp_path):
    source = change(voc(tmp_path / 'voc'), ('<difficult>1<', f'<difficult>{value}<'))
    convert(source, tmp_path / 'out')
    assert [crowd for _, _, crowd in boxes(tmp_path / 'out')] == [0, ignored]


def test_difficult_in_another_word(tmp_path):
    source = change(voc(tmp_path / 'voc'), ('<difficult>1<', '<difficult>maybe<'))
    with pytest.raises(DataError, match="a.xml: difficult is 'maybe'"):
        convert(source, tmp_path / 'out')


def test_a_second_box_of_an_object_is_counted(tmp_path):
    more = '<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>'
    source = change(voc(tmp_path / 'voc'), ('</bndbox>\n</object>', f'</bndbox>{more}'))
    assert ('4 objects have more than one bndbox, of which the first was taken (the first object is'
            ' in Annotations/a.xml)') in convert(source, tmp_path / 'out')[2]
    assert boxes(tmp_path / 'out')[0] == ('pear', [4, 6, 20, 30], 0)


def test_classes_that_differ_in_their_case_only(tmp_path):
    notes = convert(change(voc(tmp_path / 'voc'), ('apple', 'Pear')), tmp_path / 'out')[2]
    assert notes[-1].startswith("'Pear' and 'pear' are classes of their own")


@pytest.mark.parametrize('other', ['pe\u200bar', 'p\uff45ar', 'pe\u00adar'])
def test_classes_that_print_alike(other, tmp_path):
    notes = convert(change(voc(tmp_path / 'voc'), ('apple', other)), tmp_path / 'out')[2]
    assert notes[-1].startswith(f"{ascii(other)} and 'pear' are classes of" if other < 'pear' else
                                f"'pear' and {ascii(other)} are classes of")


def test_classes_of_coco_are_compared_once(tmp_path):
    text(tmp_path / 'in' / 'all.json', dict(
        images=[dict(id=i, file_name=f'{i}.png', width=64, height=48) for i in range(8)],
        annotations=[dict(id=i + 1, image_id=i, category_id=i % 2, bbox=[4, 4, 9, 9], area=81,
                          iscrowd=0) for i in range(8)],
        categories=[dict(id=0, name='pear'), dict(id=1, name='Pear')]))
    for i in range(8):
        image(tmp_path / 'in' / f'{i}.png')
    notes = convert(tmp_path / 'in', tmp_path / 'out', val_share=0.5)[2]
    assert [note for note in notes if 'of their own' in note] == [
        f"{tmp_path / 'in' / 'all.json'}: 'Pear' and 'pear' are classes of their own. To mend it: "
        'spell them alike if they are not meant to be']


YOLO = dict(
    ultralytics=('images/{part}/{name}.png', 'labels/{part}/{name}.txt', 'train', 'val'),
    roboflow=('{part}/images/{name}.png', '{part}/labels/{name}.txt', 'train', 'valid'))


@pytest.mark.parametrize('layout', YOLO)
def test_yolo(layout, tmp_path):
    picture, label, *parts = YOLO[layout]
    text(tmp_path / 'yolo' / 'data.yaml', 'names: {0: apple, 1: pear}')
    for part in (*parts, 'test'):
        image(tmp_path / 'yolo' / picture.format(part=part, name=f'{part}1'))
        text(tmp_path / 'yolo' / label.format(part=part, name=f'{part}1'),
             '1 0.5 0.5 0.25 0.5\n0 0 0 0.5 0 0.5 0.5\n')
    image(tmp_path / 'yolo' / picture.format(part='train', name='empty'))
    kind, numbers, notes = convert(tmp_path / 'yolo', tmp_path / 'out')
    assert (kind, numbers) == ('yolo', dict(train=2, val=1))
    assert '1 of 4 images have no text file' in notes[0]
    assert '3 of 6 lines are read as polygons, not as boxes' in notes[1]
    assert boxes(tmp_path / 'out') == [('pear', [24, 12, 16, 24], 0), ('apple', [0, 0, 32, 24], 0)]
    assert find_coco(tmp_path / 'out').classes == ('apple', 'pear')


@pytest.mark.parametrize('line', ['7 .5 .5 .1 .1', '0 30 20 10 10', '0 .5 .5', 'apple .5 .5 1 1',
                                  'inf .5 .5 .1 .1', '0 .5 nan .1 .1'])
def test_yolos_errors_name_the_line(line, tmp_path):
    text(tmp_path / 'classes.txt', 'apple\npear\n')
    image(tmp_path / 'a.png')
    text(tmp_path / 'a.txt', f'0 .5 .5 .1 .1\n{line}\n')
    with pytest.raises(DataError, match=r'a.txt, line 2'):
        convert(tmp_path, tmp_path / 'out', 'yolo')


def test_labelme(tmp_path):
    for name in 'abcdefgh':
        image(tmp_path / 'in' / f'{name}.png')
        text(tmp_path / 'in' / f'{name}.json', dict(
            imagePath=f'..\\x\\{name}.png', imageWidth=64, imageHeight=48, shapes=[
                dict(label='apple', shape_type='rectangle', points=[[24, 30], [4, 10]]),
                dict(label='pear', shape_type='polygon', points=[[1, 1], [9, 1], [9, 21]]),
                dict(label='pear', shape_type='line', points=[[1, 1], [9, 1]])]))
    kind, numbers, notes = convert(tmp_path / 'in', tmp_path / 'out', val_share=0.5)
    assert kind == 'labelme' and sum(numbers.values()) == 8 and '8 shapes' in notes[0]
    assert boxes(tmp_path / 'out')[:2] == [
        ('apple', [4, 10, 20, 20], 0), ('pear', [1, 1, 8, 20], 0)]
    assert not find_coco(tmp_path / 'out').findings


def test_a_shape_of_labelme_without_a_label(tmp_path):
    image(tmp_path / 'in' / 'a.png')
    text(tmp_path / 'in' / 'a.json', dict(imagePath='a.png', shapes=[
        dict(label='apple', shape_type='rectangle', points=[[24, 30], [4, 10]]),
        dict(shape_type='rectangle', points=[[24, 30], [4, 10]])]))
    with pytest.raises(DataError, match=r'a.json: shapes\[1\] has no label'):
        convert(tmp_path / 'in', tmp_path / 'out')


def labelme(root, *shapes):
    """One image for each part, with the same shapes."""
    for part in ('train', 'val'):
        image(root / 'in' / part / f'{part}.png')
        text(root / 'in' / part / f'{part}.json', dict(imagePath=f'{part}.png', shapes=[
            dict(label='apple', **shape) for shape in shapes]))
    return root / 'in'


def test_shapes_of_one_group_are_one_object(tmp_path):
    """As labelme's own converter has it: an apple behind a branch."""
    left, right = [[1, 1], [9, 1], [9, 9]], [[20, 4], [30, 4], [30, 14]]
    source = labelme(
        tmp_path, dict(points=left, group_id=7), dict(points=right, group_id=7),
        dict(points=[[40, 2], [44, 8]], shape_type='rectangle', group_id=7),
        dict(points=left), dict(points=right, group_id=None, difficult=True))
    kind, numbers, notes = convert(source, tmp_path / 'out')
    assert '2 objects were joined from several shapes of one group_id' in notes
    assert '2 objects are difficult: nothing is learnt from them' in notes
    assert boxes(tmp_path / 'out') == [
        ('apple', [1, 1, 43, 13], 0), ('apple', [1, 1, 8, 8], 0), ('apple', [20, 4, 10, 10], 1)]
    first = json.loads((tmp_path / 'out' / 'val.json').read_text())['annotations'][0]
    assert first['segmentation'] == [[1, 1, 9, 1, 9, 9], [20, 4, 30, 4, 30, 14],
                                     [40, 2, 44, 2, 44, 8, 40, 8]]


def test_only_other_shapes_of_labelme(tmp_path):
    source = labelme(tmp_path, dict(points=[[1, 1], [9, 9]], shape_type='mask'))
    with pytest.raises(DataError, match='none of 2 shapes is a rectangle or polygon'):
        convert(source, tmp_path / 'out')


def cut(path):
    """A JPEG whose second half is missing."""
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])


def test_a_jpeg_that_is_cut_off(tmp_path):
    cut(voc(tmp_path / 'voc') / 'JPEGImages' / 'd.jpg')
    with pytest.raises(DataError, match='d.jpg (is cut off|cannot be opened as an image)'):
        convert(tmp_path / 'voc', tmp_path / 'out', longest_side=32)
    assert sorted(f.name for f in tmp_path.iterdir()) == ['voc']


@pytest.mark.parametrize('exists', [False, True])
def test_nothing_is_written_unless_all_is(exists, tmp_path, monkeypatch):
    """The last image breaks after it was looked at."""
    from ctkd_det_data.convert import records
    if exists:
        (tmp_path / 'out').mkdir()
    drawn = records._coco
    monkeypatch.setattr(records, '_coco', lambda *args: (
        cut(tmp_path / 'voc' / 'JPEGImages' / 'd.jpg'), drawn(*args))[1])
    with pytest.raises(DataError, match='d.jpg cannot be shrunk'):
        convert(voc(tmp_path / 'voc'), tmp_path / 'out', longest_side=32)
    assert sorted(f.name for f in tmp_path.iterdir()) == ['out'] * exists + ['voc']
    assert not exists or not list((tmp_path / 'out').iterdir())
    monkeypatch.undo()
    image(tmp_path / 'voc' / 'JPEGImages' / 'd.jpg')
    convert(tmp_path / 'voc', tmp_path / 'out', longest_side=32)
    assert boxes(tmp_path / 'out')[0] == ('pear', [2, 3, 10, 15], 0)
    assert sorted(f.name for f in (tmp_path / 'out').iterdir()) == [
        'images', 'train.json', 'val.json']
    assert sorted(f.name for f in tmp_path.iterdir()) == ['out', 'voc']


@pytest.mark.parametrize('inner', ['', 'coco'])
def test_a_file_in_the_way(inner, tmp_path):
    text(tmp_path / 'out', 'mine')
    result = invoke('data', voc(tmp_path / 'voc'), tmp_path / 'out' / inner)
    assert result.exit_code == 1 and str(tmp_path / 'out') in result.output
    assert (tmp_path / 'out').read_text() == 'mine'


@pytest.mark.parametrize('name', ['{}/b.png', '../../b.png'])
def test_an_image_outside_the_folder(name, tmp_path):
    for file in ('in/images/a.png', 'b.png'):
        image(tmp_path / file)
    text(tmp_path / 'in' / 'all.json', dict(
        images=[dict(id=1, file_name='a.png', width=64, height=48),
                dict(id=2, file_name=name.format(tmp_path), width=64, height=48)],
        annotations=[dict(id=i, image_id=i, category_id=1, bbox=[4, 4, 9, 9]) for i in (1, 2)],
        categories=[dict(id=1, name='apple')]))
    with pytest.raises(DataError, match=f'the image {tmp_path / "b.png"} is outside '):
        convert(tmp_path / 'in', tmp_path / 'out', val_share=0.5)


def test_one_coco_file_is_split_and_cleaned(tmp_path):
    """Label Studio: ids from 0, Windows paths; an image stays in its part when others come."""
    content = dict(
        images=[dict(id=i, file_name=f'images\\{i}.png', width=64, height=48) for i in range(12)],
        annotations=[dict(id=i, image_id=i, category_id=0, bbox=[i, 4, 10, 10]) for i in range(12)],
        categories=[dict(id=0, name='apple')])
    text(tmp_path / 'in' / 'result.json', content)
    for i in range(12):
        image(tmp_path / 'in' / 'images' / f'{i}.png')
    result = invoke('data', tmp_path / 'in', tmp_path / 'out', '--val-share', '0.4')
    assert result.exit_code == 0 and 'Next: ctkd-det doctor' in result.output
    data = find_coco(tmp_path / 'out')
    assert not data.findings and data.train.total + data.val.total == 12
    content['images'].pop(0), content['annotations'].pop(0)
    text(tmp_path / 'in' / 'result.json', content)
    invoke('data', tmp_path / 'in', tmp_path / 'other', '--val-share', '0.4')

    def names(out):
        return {e['file_name'] for e in json.loads((out / 'val.json').read_text())['images']}

    assert names(tmp_path / 'other') == names(tmp_path / 'out') - {'images/0.png', '0.png'}
    refused = invoke('data', tmp_path / 'in', tmp_path / 'out')
    assert refused.exit_code == 1 and 'is not empty' in refused.output


@pytest.mark.parametrize('second, said', [
    ('val', 'split already, and nothing is to be converted: ctkd-det distill --data takes it'),
    ('test', 'give a folder with one, or call the files of two parts train.json and val.json')])
@pytest.mark.parametrize('file, folder', [
    ('{}/labels.json', '{}/data'), ('{}/_annotations.coco.json', '{}'),
    ('annotations/instances_{}.json', 'images/{}')], ids=['fiftyone', 'roboflow', 'cvat'])
def test_a_set_that_is_split_already_is_said_to_be(second, said, file, folder, tmp_path):
    """They were refused, and the advice led to another refusal; CVAT begins with a capital."""
    for part in ('train', second):
        name = part.title() if 'instances' in file else part
        image(tmp_path / folder.format(name) / f'{part}.png')
        text(tmp_path / file.format(name), dict(
            images=[dict(id=1, file_name=f'{part}.png', width=64, height=48)],
            annotations=[dict(id=1, image_id=1, category_id=1, bbox=[4, 4, 9, 9], area=81,
                              iscrowd=0)],
            categories=[dict(id=1, name='apple')]))
    with pytest.raises(DataError, match=f"has 2 files of COCO's format: .*{said}"):
        convert(tmp_path, tmp_path / 'out', 'coco')
    if second == 'val':
        assert not find_coco(tmp_path).findings


RLE = dict(size=[48, 64], counts=[100, 20, 2952])


def masked(root, *masks):
    """One image for each part, with boxes of 20 x 30 and an area of 123."""
    for part in ('train', 'val'):
        image(root / 'in' / part / f'{part}.png')
    text(root / 'in' / 'all.json', dict(
        images=[dict(id=1, file_name='train/train.png', width=64, height=48),
                dict(id=2, file_name='val/val.png', width=64, height=48)],
        annotations=[dict(id=2 * k + i, image_id=i, category_id=1, bbox=[4 + k, 6, 20, 30],
                          area=123, iscrowd=0, segmentation=mask)
                     for k, mask in enumerate(masks) for i in (1, 2)],
        categories=[dict(id=1, name='apple')]))
    return root / 'in'


def test_masks_and_areas_of_coco_stay(tmp_path):
    """The area decides which of AP small, medium and large an object counts for."""
    polygon = [[4, 6, 24, 6, 4, 36]]
    convert(masked(tmp_path, RLE, polygon), tmp_path / 'out', 'coco')
    content = json.loads((tmp_path / 'out' / 'val.json').read_text())
    assert [(b['segmentation'], b['area']) for b in content['annotations']] == [
        (RLE, 123), (polygon, 123)]
    assert not find_coco(tmp_path / 'out').findings


def test_masks_and_areas_shrink_with_their_image(tmp_path):
    convert(masked(tmp_path, [[4, 6, 24, 6, 4, 36]]), tmp_path / 'out', 'coco', longest_side=32)
    found, = json.loads((tmp_path / 'out' / 'val.json').read_text())['annotations']
    assert (found['bbox'], found['area'], found['segmentation']) == (
        [2, 3, 10, 15], 30.75, [[2, 3, 12, 3, 2, 18]])


def test_run_lengths_cannot_shrink(tmp_path):
    source = masked(tmp_path, RLE)
    with pytest.raises(DataError, match='train.png has masks as run lengths, which cannot be shr'):
        convert(source, tmp_path / 'out', 'coco', longest_side=32)
    assert not (tmp_path / 'out').exists()
    convert(source, tmp_path / 'out', 'coco', longest_side=64)  # nothing is to be shrunk


def test_nothing_to_convert(tmp_path):
    for folder, said in ((tmp_path / 'nowhere', 'there is no folder'), (tmp_path, 'has neither')):
        result = invoke('data', folder, tmp_path / 'out')
        assert result.exit_code == 1 and said in result.output
