"""Image files that are found, measured and judged as MMDetection reads them."""
import json
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from data.layouts import boxes
from data.sets import good, write_set
from PIL import Image

from ctkd_det_data import DataError, find_coco
from ctkd_det_data.convert import convert
from ctkd_det_data.image_size import size_of

XMP = (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
       b'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
       b'tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>')


def noise(size=(64, 48)):
    return Image.effect_noise(size, 50).convert('RGB')


def turned(path, turn, size=(64, 48), **more):
    exif = Image.Exif()
    exif[0x0112] = turn
    noise(size).save(path, 'JPEG', exif=exif, **more)


def read(path):
    """Width and height as OpenCV reads them."""
    return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR).shape[1::-1]


def stated_png(path, width, height):
    """A small PNG that says it is of another size."""
    def part(kind, data):
        check = struct.pack('>I', zlib.crc32(kind + data))
        return struct.pack('>I', len(data)) + kind + data + check
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + part(b'IHDR', struct.pack(
        '>IIBBBBB', width, height, 8, 0, 0, 0, 0)) + part(b'IDAT', zlib.compress(b'')) + part(
            b'IEND', b''))


@pytest.mark.parametrize('behind', [b'', bytes(9000), b'a film' * 20, b'a film' * 20 + bytes(99)])
@pytest.mark.parametrize('share', [1, 0.5])
def test_zeros_in_place_of_a_jpegs_rest(share, behind, tmp_path):
    """An interrupted copy into a place that was reserved: the decoder takes the zeros for grey."""
    noise((300, 200)).save(tmp_path / 'a.jpg')
    data = (tmp_path / 'a.jpg').read_bytes()
    rest = behind if share == 1 else bytes(len(data) // 2)
    (tmp_path / 'a.jpg').write_bytes(data[:int(len(data) * share)] + rest)
    size = size_of(tmp_path / 'a.jpg')
    assert size is None or size.seen == (300, 200)
    assert bool(size and size.whole) == (share == 1)


def test_the_orientation_of_xmp_is_not_opencvs(tmp_path):
    noise().save(tmp_path / 'a.jpg', xmp=XMP)
    software = Image.Exif()
    software[0x0131] = 'me'
    noise().save(tmp_path / 'b.jpg', xmp=XMP, exif=software)
    turned(tmp_path / 'c.jpg', 6)
    turned(tmp_path / 'd.jpg', 9)
    for name in 'abcd':
        assert size_of(tmp_path / f'{name}.jpg').seen == read(tmp_path / f'{name}.jpg')
    assert [size_of(tmp_path / f'{name}.jpg').turn for name in 'abcd'] == [1, 1, 6, 1]


def test_a_turn_that_opencv_does_not_follow(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    try:
        noise().save(tmp_path / 'a.avif', exif=exif)
    except (KeyError, ValueError):
        pytest.skip('this Pillow writes no AVIF')
    size = size_of(tmp_path / 'a.avif')
    if size is None:
        pytest.skip('this OpenCV reads no AVIF')
    assert size.seen == read(tmp_path / 'a.avif')
    assert size.turn == (6 if size.seen == (48, 64) else 1)


@pytest.mark.parametrize('turn, size, said', [
    (1, (64, 48), 0), (2, (64, 48), 1), (3, (64, 48), 1), (4, (64, 48), 1), (6, (64, 48), 0),
    (6, (48, 48), 1), (8, (48, 48), 1), (1, (48, 48), 0)])
def test_a_turn_that_the_size_does_not_show(turn, size, said, tmp_path):
    content = good()
    for entry in content['images']:
        entry.update(width=size[0], height=size[1])
        if turn == 6:
            entry.update(width=size[1], height=size[0])  # of the upright picture
    content['annotations'] = [dict(b, bbox=[4, 4, 20, 20]) for b in content['annotations']]
    root = write_set(tmp_path, content, {
        f'{name}.png': lambda path: turned(path, turn, size) for name in 'abc'})
    found = [f for f in find_coco(root).findings if 'turned or mirrored' in f.what]
    assert [f.level for f in found] == ['warn', 'warn'][:2 * said]
    assert all(f.what.startswith('3 of 3 images') for f in found)


def test_a_turn_where_no_size_is_stated(tmp_path):
    content = good()
    for entry in content['images']:
        del entry['width'], entry['height']
    root = write_set(tmp_path, content, {
        'a.png': lambda path: turned(path, 6), 'b.png': lambda path: turned(path, 1)})
    data = find_coco(root)
    assert [f.what[:13] for f in data.findings if 'turned or mirrored' in f.what] == [
        '1 of 3 images'] * 2
    assert [(e['width'], e['height']) for e in data.train.content['images']] == [
        (48, 64), (64, 48), (64, 48)]


def test_pictures_of_a_size_that_pillow_refuses(tmp_path):
    """OpenCV reads up to 2^30 pixels, Pillow opens none above 179 million."""
    stated_png(tmp_path / 'large.png', 20000, 20000)
    stated_png(tmp_path / 'too_large.png', 60000, 60000)
    limit = Image.MAX_IMAGE_PIXELS
    assert size_of(tmp_path / 'large.png').seen == (20000, 20000)
    assert size_of(tmp_path / 'too_large.png') is None
    assert limit == Image.MAX_IMAGE_PIXELS


def test_sizes_that_are_not_stated_are_filled_in_or_asked_for(tmp_path, monkeypatch):
    import sys
    content = good()
    del content['images'][1]['width']
    root = write_set(tmp_path, content, {'b.png': lambda path: stated_png(path, 20000, 20000)})
    data = find_coco(root)
    assert not data.failures and data.train.content['images'][1]['width'] == 20000
    monkeypatch.setitem(sys.modules, 'PIL', None)
    failure = find_coco(root).failures[0]
    assert "1 of 3 images have no 'width' and 'height' above 0, and their files' size cannot" in \
        failure.what and not failure.read_as


def test_a_link_to_itself_does_not_hide_the_others(tmp_path):
    root = write_set(tmp_path, good())
    os.symlink('loop.png', root / 'images' / 'loop.png')
    assert not find_coco(root).findings


PATHS = ['/home/me/set/images/cam1/{}.png', 'C:\\set\\images\\cam1\\{}.png', 'cam1\\{}.png',
         'https://me.org/set/cam1/{}.png?size=2', '/data/local-files/?d=set%2Fcam1%2F{}.png',
         '//[set/cam1/{}.png', '/set/CAM/cam1/{}.PNG']


@pytest.mark.parametrize('accent', ['', 'caf\u00e9', 'cafe\u0301'])
@pytest.mark.parametrize('form', PATHS)
def test_the_end_of_a_path_of_another_machine(form, accent, tmp_path):
    """The folder has images in folders of its own; macOS spells accents apart."""
    from unicodedata import normalize
    from urllib.parse import quote
    content = good()
    for entry in content['images']:
        name = accent + entry['file_name'].removesuffix('.png')
        entry['file_name'] = form.format(quote(name) if '%2F' in form else name)
    root = write_set(tmp_path, content)
    (root / 'images' / 'cam1').mkdir()
    there = normalize('NFD' if accent == 'caf\u00e9' else 'NFC', accent)
    for name in 'abc':
        (root / 'images' / f'{name}.png').rename(root / 'images' / 'cam1' / f'{there}{name}.png')
    data = find_coco(root)
    assert not data.failures and data.train.images == root / 'images'
    assert [e['file_name'] for e in data.train.content['images']] == [
        f'cam1/{there}{name}.png' for name in 'abc']


def test_ends_of_paths_that_are_one_file_are_refused(tmp_path):
    content = good()
    for entry, folder in zip(content['images'], ('x/cam1/a', 'y/cam1/a', 'z/cam1/c'), strict=True):
        entry['file_name'] = f'/home/me/{folder}.png'
    root = write_set(tmp_path, content)
    (root / 'images' / 'cam1').mkdir()
    for name in 'abc':
        (root / 'images' / f'{name}.png').rename(root / 'images' / 'cam1' / f'{name}.png')
    assert 'point to the same file as another row' in find_coco(root).failures[0].what


@pytest.mark.parametrize('turn', range(1, 9))
def test_shrunk_pictures_are_as_opencv_sees_the_large_ones(turn, tmp_path):
    """YOLO's fractions do not say for which picture they are; XMP's orientation is no one's."""
    for part in ('train', 'val'):
        (tmp_path / 'in' / part).mkdir(parents=True)
        ramp = np.linspace(0, 255, 64 * 48).reshape(48, 64).astype(np.uint8)
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.fromarray(ramp).save(tmp_path / 'in' / part / f'{part}.png', exif=exif)
        (tmp_path / 'in' / part / f'{part}.txt').write_text('0 .5 .5 .25 .5')
    (tmp_path / 'in' / 'classes.txt').write_text('apple')
    notes = convert(tmp_path / 'in', tmp_path / 'out', longest_side=32)[2]
    assert [note[:60] for note in notes if 'EXIF' in note] == [
        '2 of 2 images are turned or mirrored by their EXIF tag when '] * (turn > 1)
    large, small = (cv2.imread(str(tmp_path / folder / 'train' / 'train.png'))
                    for folder in ('in', 'out/images'))
    assert np.abs(cv2.resize(large, small.shape[1::-1], interpolation=cv2.INTER_AREA).astype(int)
                  - small)[2:-2, 2:-2].max() < 12
    image = json.loads((tmp_path / 'out' / 'train.json').read_text())['images'][0]
    assert (image['width'], image['height']) == small.shape[1::-1]


def striped(mode):
    """Thin dark lines, on the right half of no opacity if the mode has one."""
    pixels = np.full((64, 64, 4), 200, np.uint8)
    pixels[:, ::4, :3] = 20
    pixels[:, :, 3] = np.repeat([255, 0], 32)
    if mode != 'P':
        return Image.fromarray(pixels).convert(mode)
    picture = Image.fromarray(pixels[..., :3]).quantize(4)
    picture.info['transparency'] = b'\0\xff'  # one of its colours is transparent
    return picture


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('mode', ['RGB', 'L', 'P', '1', 'RGBA', 'LA'])
def test_shrinking_is_of_what_opencv_reads(mode, tmp_path):
    """Pillow shrinks a palette by dropping pixels, and what is transparent to black."""
    for part in ('train', 'val'):
        (tmp_path / 'in' / part).mkdir(parents=True)
        striped(mode).save(tmp_path / 'in' / part / f'{part}.png')
        (tmp_path / 'in' / part / f'{part}.txt').write_text('0 .5 .5 .25 .5')
    (tmp_path / 'in' / 'classes.txt').write_text('apple')
    convert(tmp_path / 'in', tmp_path / 'out', longest_side=32)
    large, small = (cv2.imread(str(tmp_path / folder / 'train' / 'train.png'))
                    for folder in ('in', 'out/images'))
    expected = Image.fromarray(large).resize((32, 32), Image.Resampling.LANCZOS)
    assert 90 < large[:, 32:].mean() < 220  # also where it is transparent
    np.testing.assert_array_equal(small, np.asarray(expected))


def one_of(folder, name, save):
    for part in ('train', 'val'):
        (folder / part).mkdir(parents=True)
        save(folder / part / name)
        (folder / part / name).with_suffix('.xml').write_text(
            f'<annotation><filename>{name}</filename><object><name>pear</name><bndbox><xmin>4'
            '</xmin><ymin>6</ymin><xmax>24</xmax><ymax>36</ymax></bndbox></object></annotation>')
    return folder


def test_a_phones_jpeg_is_shrunk_at_the_quality_of_others(tmp_path):
    """MPO is a JPEG with a second picture behind it; it was saved at Pillow's 75."""
    tables = {}
    for kind in ('JPEG', 'MPO'):
        second = dict(save_all=True, append_images=[noise()]) if kind == 'MPO' else {}
        folder = one_of(tmp_path / kind, 'a.jpg', lambda path, kind=kind, second=second: noise(
            ).save(path, kind, quality=95, **second))
        with Image.open(folder / 'train' / 'a.jpg') as source:
            assert source.format == kind
        convert(folder, tmp_path / f'{kind}_out', longest_side=32)
        with Image.open(tmp_path / f'{kind}_out' / 'images' / 'train' / 'a.jpg') as image:
            assert image.size == (32, 24)
            tables[kind] = image.quantization
    assert tables['MPO'] == tables['JPEG']


@pytest.mark.parametrize('suffix', ['jpe', 'apng', 'ppm', 'pgm', 'pbm', 'pnm', 'jp2', 'gif',
                                    'avif', 'bmp', 'tif', 'webp'])
def test_whatever_this_opencv_reads_is_an_image(suffix, tmp_path):
    """GIF and AVIF since OpenCV 5; they were said not to be there."""
    def save(path):
        try:
            noise().save(path, 'PPM' if suffix == 'pnm' else None)
        except (KeyError, ValueError, OSError) as error:
            pytest.skip(f'this Pillow cannot write it ({error})')

    source = one_of(tmp_path / 'in', f'a.{suffix}', save)
    if cv2.imread(str(source / 'train' / f'a.{suffix}')) is None:
        with pytest.raises(DataError, match='cannot be opened as an image by OpenCV'):
            convert(source, tmp_path / 'out')
    else:
        convert(source, tmp_path / 'out')
        assert boxes(tmp_path / 'out') == [('pear', [4, 6, 20, 30], 0)]


def test_the_format_of_phones_is_named(tmp_path):
    source = one_of(tmp_path / 'in', 'a.HEIC', lambda path: path.write_bytes(b'\0' * 99))
    with pytest.raises(DataError, match='a.HEIC is in the format of phones .*save it as JPEG'):
        convert(source, tmp_path / 'out')


def test_a_large_picture_is_converted(tmp_path):
    """YOLO and VOC said that OpenCV cannot open it."""
    for part in ('train', 'val'):
        (tmp_path / 'in' / part).mkdir(parents=True)
        stated_png(tmp_path / 'in' / part / f'{part}.png', 20000, 10000)
        (tmp_path / 'in' / part / f'{part}.txt').write_text('0 .5 .5 .25 .5')
    (tmp_path / 'in' / 'classes.txt').write_text('apple')
    convert(tmp_path / 'in', tmp_path / 'out')
    assert boxes(tmp_path / 'out') == [('apple', [7500, 2500, 5000, 5000], 0)]
