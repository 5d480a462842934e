"""What cannot be read ends with a sentence that names the file, never with a traceback."""
import pytest
from cli.conftest import invoke
from data.layouts import boxes, image, text

from ctkd_det_data import DataError
from ctkd_det_data.convert import convert

XML = ('<annotation><object><name>{}</name><bndbox><xmin>4</xmin><ymin>6</ymin><xmax>24</xmax>'
       '<ymax>36</ymax></bndbox></object></annotation>')
SHAPE = dict(label='apple', points=[[4, 6], [24, 36]], shape_type='rectangle')


def pair(root, suffix, content):
    """An image for each part, and an annotation beside it."""
    for part in ('train', 'val'):
        image(root / 'in' / part / f'{part}.png')
        text(root / 'in' / part / f'{part}.{suffix}', content)
    return root / 'in'


def test_an_editors_xml_is_no_annotation(tmp_path):
    """PyCharm's .idea made VOC of it; so did any other XML file."""
    source = pair(tmp_path, 'txt', '0 .5 .5 .25 .5')
    text(source / 'data.yaml', 'names: [apple]')
    for name in ('.idea/misc.xml', 'pom.xml'):
        text(source / name, '<?xml version="1.0"?><project><annotations/></project>')
    assert convert(source, tmp_path / 'out')[0] == 'yolo'
    refused = invoke('data', source, tmp_path / 'other', '--kind', 'voc')
    assert refused.exit_code == 1 and 'say with --kind what it is' in refused.output


def test_hidden_images_are_left_alone(tmp_path):
    """macOS writes ._a.png, which is no image, beside a.png."""
    source = pair(tmp_path, 'xml', XML.format('apple'))
    text(source / 'train' / '._train.png', b'\0\5\x16\7')
    text(source / '__MACOSX' / 'train' / 'train.png', b'\0\5\x16\7')
    assert convert(source, tmp_path / 'out')[1] == dict(train=1, val=1)


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-16', 'cp1252'])
def test_xml_in_the_encoding_that_it_states(encoding, tmp_path):
    content = f'<?xml version="1.0" encoding="{encoding}"?>' + XML.format('k\xe4se')
    convert(pair(tmp_path, 'xml', content.encode(encoding)), tmp_path / 'out')
    assert boxes(tmp_path / 'out')[0][0] == 'k\xe4se'


@pytest.mark.parametrize('encoding', ['gbk', 'no-such-encoding'])
def test_xml_in_an_encoding_that_cannot_be_read(encoding, tmp_path):
    content = f'<?xml version="1.0" encoding="{encoding}"?>' + XML.format('apple')
    with pytest.raises(DataError, match='train.xml is no XML'):
        convert(pair(tmp_path, 'xml', content), tmp_path / 'out')


def test_vocs_lists_in_another_encoding(tmp_path):
    source = pair(tmp_path, 'xml', XML.format('apple'))
    text(source / 'ImageSets' / 'Main' / 'train.txt', '\u56fe\u50cf'.encode('gbk'))
    with pytest.raises(DataError, match='Main/train.txt is not encoded in UTF-8'):
        convert(source, tmp_path / 'out')


@pytest.mark.parametrize('shapes, said', [
    (None, 'train.json: shapes is None, not a list'), ({}, 'shapes is {}, not a list'),
    ([None], r'shapes\[0\] has no list of points'),
    ([dict(SHAPE, points=None)], r'shapes\[0\] has no list of points'),
    ([SHAPE, dict(SHAPE, points=[4, 6])], r'shapes\[1\] has no list of points'),
    ([SHAPE, dict(SHAPE, points=[[4, 6], [float('nan'), 36]])],
     r'shapes\[1\] has a point that is no number'),
    ([dict(SHAPE, points=[[4], [6]])], r'shapes\[0\] has no list of points')])
def test_labelmes_shapes(shapes, said, tmp_path):
    with pytest.raises(DataError, match=said):
        convert(pair(tmp_path, 'json', dict(shapes=shapes)), tmp_path / 'out')


def test_labelmes_size_as_text(tmp_path):
    """It said: the image is 64 x 48, stated is 64 x 48."""
    source = pair(tmp_path, 'json', dict(shapes=[SHAPE], imageWidth='64', imageHeight='48'))
    convert(source, tmp_path / 'out')
    assert boxes(tmp_path / 'out') == [('apple', [4, 6, 20, 30], 0)]
    text(source / 'val' / 'val.json', dict(shapes=[SHAPE], imageWidth='640', imageHeight='480'))
    with pytest.raises(DataError, match='val.json: the image is 64 x 48, stated is 640 x 480'):
        convert(source, tmp_path / 'other')
