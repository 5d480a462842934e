"""Small data sets with one thing wrong, as annotation tools write them.

Each of :data:`ODD` changes the content of a good file of three images of 64 x 48 pixels and four
boxes, and says what must come of it: ``(change, verdict, said)``. ``verdict`` is 'ok', 'mended'
(read right: a perfect detector gets mAP 1 with every usable box), 'warn' or 'refused'.
"""
import copy
import gzip
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIZE = (64, 48)
BOXES = [(1, 1, [4, 4, 24, 20]), (1, 2, [30, 10, 20, 30]), (2, 2, [0, 0, 40, 40]),
         (3, 1, [10, 8, 12.5, 14])]


def good() -> dict:
    return dict(
        images=[dict(id=i + 1, file_name=f'{name}.png', width=64, height=48)
                for i, name in enumerate('abc')],
        annotations=[dict(id=i + 1, image_id=image, category_id=category, bbox=list(box),
                          area=box[2] * box[3], iscrowd=0)
                     for i, (image, category, box) in enumerate(BOXES)],
        categories=[dict(id=1, name='apple'), dict(id=2, name='pear')])


def write_set(root: Path, content: dict, files: dict = None) -> Path:
    """``train.json`` and ``val.json`` with the same content, images in ``images/``."""
    (root / 'images').mkdir(parents=True, exist_ok=True)
    for name in 'abc':
        image = Image.effect_noise(SIZE, 50).convert('RGB')
        image.save(root / 'images' / f'{name}.png')
    for name, data in (files or {}).items():
        path = root / 'images' / name
        path.unlink(missing_ok=True)
        if callable(data):
            data(path)
        elif data is not None:
            path.write_bytes(data)
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    for part in ('train', 'val'):
        (root / f'{part}.json').write_bytes(text)
    return root


def boxes(**values):
    """Sets keys of all boxes; a function gets the old value's box, None deletes the key."""
    def change(content):
        for box in content['annotations']:
            _set(box, values)
    return change


def box(index, **values):
    def change(content):
        _set(content['annotations'][index], values)
    return change


def rows(key, **values):
    def change(content):
        for entry in content[key]:
            _set(entry, values)
    return change


def row(key, index, **values):
    def change(content):
        _set(content[key][index], values)
    return change


def again(key, index, **values):
    """Lists an entry once more, with other values."""
    def change(content):
        content[key].append({**copy.deepcopy(content[key][index]), **values})
    return change


def both(*changes):
    def change(content):
        for one in changes:
            one(content)
    return change


def _set(entry, values):
    for name, value in values.items():
        if value is GONE:
            entry.pop(name, None)
        else:
            entry[name] = value(entry) if callable(value) else value


GONE = object()
RLE = dict(size=[48, 64], counts=[200, 480, 2392])


def _mirror_size(content):
    for entry in content['images']:
        entry['width'], entry['height'] = 48, 64


def _groups(name):
    """Roboflow: row 0 names the group."""
    def change(content):
        for entry in content['categories']:
            entry['supercategory'] = name
        content['categories'].insert(0, dict(id=0, name=name, supercategory='none'))
    return change


def _normalised(entry):
    x, y, w, h = entry['bbox']
    return [x / 64, y / 48, w / 64, h / 48]


def _corners(entry):
    x, y, w, h = entry['bbox']
    return [x + 20, y + 10, x + w + 20, y + h + 10]


def _image_ids(*texts):
    return both(boxes(image_id=lambda b: texts[b['image_id'] - 1]),
                rows('images', id=lambda e: texts[e['id'] - 1]))


ODD = dict(
    good=(lambda content: None, 'ok', ''),
    # joined wrongly
    group_named_like_a_class=(_groups('apple'), 'mended', "'apple' is listed 2 times"),
    a_list_as_supercategory=(rows('categories', supercategory=['fruit']), 'ok', ''),
    group_of_another_name=(_groups('fruit'), 'ok', ''),
    categories_from_0=(rows('categories', id=lambda c: c['id'] - 1), 'refused',
                       'category 2 is in 2 of 4 boxes, but not in the list'),
    boxes_from_0=(boxes(category_id=lambda b: b['category_id'] - 1), 'refused',
                  'category 0 is in 2 of 4 boxes'),
    images_from_0=(rows('images', id=lambda e: e['id'] - 1), 'refused',
                   'image 3 is in 1 of 4 boxes'),
    an_unknown_category=(box(0, category_id=77), 'refused', 'category 77 is in 1 of 4 boxes'),
    an_unknown_image=(box(0, image_id=77), 'mended', 'image 77 is in 1 of 4 boxes'),
    only_unknown_images=(boxes(image_id=lambda b: b['image_id'] + 40), 'refused', 'image 41'),
    one_id_two_images=(row('images', 1, id=1), 'refused', "id 1 is 'a.png' and 'b.png'"),
    one_id_two_categories=(row('categories', 1, id=1), 'refused', "id 1 is 'apple' and 'pear'"),
    images_listed_again=(again('images', 0), 'mended', 'are repetitions of others'),
    categories_listed_again=(again('categories', 0), 'mended', "'apple', which is equal"),
    an_image_for_each_box=(both(again('images', 0, id=9), box(1, image_id=9)), 'mended',
                           "'a.png' is image 1 and 9"),
    two_ids_one_name=(both(again('categories', 0, id=7), box(0, category_id=7)), 'mended',
                      "'apple' is listed 2 times"),
    two_groups_one_name=(both(again('categories', 0, id=7, supercategory='left'),
                              box(0, category_id=7)), 'refused', "'apple' is listed 2 times"),
    image_ids_text_in_boxes=(boxes(image_id=lambda b: str(b['image_id'])), 'mended',
                             '"1" is not 1'),
    image_ids_text=(both(boxes(image_id=lambda b: f'img{b["image_id"]}'),
                         rows('images', id=lambda e: f'img{e["id"]}')), 'mended', "'img1'"),
    image_ids_with_underscores=(_image_ids('1_11', '11_1', '111'), 'mended', "'1_11'"),
    image_ids_with_zeros=(_image_ids('007', '7', '07'), 'mended', "'007'"),
    image_ids_like_powers=(_image_ids('1e3', '1000', '10'), 'mended', "'1e3'"),
    image_ids_with_zeros_in_boxes_only=(boxes(image_id=lambda b: f'0{b["image_id"]}'), 'mended',
                                        '"1" is not 1'),
    category_names_as_ids=(boxes(category_id=lambda b: ['apple', 'pear'][b['category_id'] - 1]),
                           'refused', "of the list categories: category 'apple' is in 2 of 4"),
    category_ids_text=(boxes(category_id=lambda b: str(b['category_id'])), 'mended',
                       "category_id='1'"),
    category_ids_text_on_both_sides=(both(boxes(category_id=lambda b: str(b['category_id'])),
                                          rows('categories', id=lambda c: str(c['id']))),
                                     'mended', "category_id='1'"),
    image_ids_above_2_to_the_63=(_image_ids(1, 2 ** 63 + 1, 2 ** 63 + 3), 'mended',
                                 'images have an id that is no whole number up to'),
    image_ids_above_2_to_the_53=(_image_ids(2 ** 53, 2 ** 53 + 1, 1.5), 'mended',
                                 '2 of 3 images have an id that is no whole number up to'),
    image_ids_of_many_digits_as_text=(_image_ids('9' * 20, '9' * 19 + '8', '3'), 'mended',
                                      "'9999999"),
    image_ids_that_are_floats=(_image_ids(1.0, 2, 3.0), 'ok', ''),
    category_ids_above_2_to_the_63=(both(
        boxes(category_id=lambda b: 2 ** 63 * (b['category_id'] - 1) + 1),
        rows('categories', id=lambda c: 2 ** 63 * (c['id'] - 1) + 1)), 'mended',
        '1 of 2 categories have an id that is no whole number'),
    names_in_two_cases=(row('categories', 1, name='Apple'), 'warn',
                        "'Apple' and 'apple' are classes of their own"),
    names_with_spaces=(row('categories', 1, name='apple  '), 'warn',
                       "'apple' and 'apple  ' are classes of their own"),
    accents_in_two_spellings=(both(row('categories', 0, name='caf\u00e9'),
                                   row('categories', 1, name='cafe\u0301')), 'warn',
                              r"'cafe\u0301' and 'caf\xe9' are classes of their own"),
    a_zero_width_space=(row('categories', 1, name='ap\u200bple'), 'warn',
                        r"'apple' and 'ap\u200bple' are classes of their own"),
    image_ids_that_are_no_numbers=(_image_ids(float('nan'), float('nan'), 3), 'refused',
                                   "2 of 3 images have no usable 'id'"),
    a_name_that_is_a_number=(rows('categories', name=lambda c: c['id']), 'mended', 'is no text'),
    # boxes
    normalised=(boxes(bbox=_normalised), 'refused', 'lie between 0 and 1'),
    corners=(boxes(bbox=_corners), 'warn', 'are they corners'),
    text=(boxes(bbox=lambda b: list(map(str, b['bbox']))), 'mended', "has bbox=['4', '4'"),
    three_numbers=(box(1, bbox=[1, 2, 3]), 'refused', 'annotations[1] (id 2) has bbox=[1, 2, 3]'),
    a_dict=(boxes(bbox=dict(x=1, y=2, width=3, height=4)), 'refused', 'no bbox of four numbers'),
    not_a_number=(box(0, bbox=[float('nan'), 1, 2, 3]), 'refused', 'bbox=[nan'),
    infinite=(box(0, bbox=[1, 1, float('inf'), 3]), 'refused', 'inf'),
    hundreds_of_digits=(box(0, bbox=[1, 1, 10 ** 400, 3]), 'refused', 'bbox=[1, 1, 1000'),
    no_bbox=(boxes(bbox=GONE), 'refused', 'annotations[0] (id 1) has no bbox'),
    no_bbox_but_a_polygon=(box(0, bbox=GONE, segmentation=[[4, 4, 28, 4, 28, 24, 4, 24]]),
                           'mended', 'have no bbox, but polygons'),
    zero_width=(box(3, bbox=[4, 4, 0, 20]), 'mended', '1 of 4 boxes have no width or height'),
    under_a_pixel=(box(3, bbox=[4, 4, 0.5, 20], area=10), 'warn', 'less than one pixel'),
    negative_width=(box(0, bbox=[28, 4, -24, 20]), 'mended', 'negative width or height'),
    outside=(box(3, bbox=[100, 4, 10, 10]), 'mended', 'lie outside their image'),
    over_the_edge=(box(2, bbox=[30, 10, 50, 30]), 'mended', 'reach outside their image'),
    twice=(again('annotations', 0, id=9), 'mended', 'repeat another box'),
    # what else is said of a box
    no_area=(boxes(area=GONE), 'mended', "4 of 4 boxes have no 'area'"),
    area_none=(boxes(area=None), 'mended', "4 of 4 boxes have no 'area'"),
    area_0=(boxes(area=0), 'mended', "have an 'area' of 0"),
    area_text=(boxes(area='480'), 'mended', "area='480'"),
    no_iscrowd=(boxes(iscrowd=GONE), 'mended', "have no 'iscrowd'"),
    iscrowd_text=(boxes(iscrowd='0'), 'mended', "iscrowd='0'"),
    iscrowd_word=(both(boxes(iscrowd='false'), box(0, iscrowd='True')), 'mended',
                  "has iscrowd='True'"),
    iscrowd_another_word=(box(1, iscrowd='maybe'), 'refused',
                          "annotations[1] (id 2) has iscrowd='maybe'"),
    all_crowds=(boxes(iscrowd=1, segmentation=RLE), 'mended', 'CVAT writes brush masks as crowds'),
    some_crowds=(box(0, iscrowd=1), 'warn', '1 of 4 boxes are crowds'),
    all_ignored=(boxes(ignore=1), 'refused', 'no box is left'),
    one_ignored=(box(0, ignore=1), 'warn', "are marked 'ignore'"),
    ignore_words=(both(boxes(ignore='false'), box(1, ignore='0')), 'mended', "has ignore='false'"),
    ignore_another_word=(box(1, ignore='maybe'), 'refused', "has ignore='maybe'"),
    two_points=(boxes(segmentation=[[1, 1, 5, 5]]), 'mended', 'fewer than three points'),
    run_lengths_of_another_size=(boxes(segmentation=dict(size=[64, 48], counts=[200, 2872])),
                                 'mended', 'another size than the image'),
    run_lengths_that_end_early=(boxes(segmentation=dict(size=[48, 64], counts=[200, 480])),
                                'mended', '4 of 4 boxes have a mask'),
    good_run_lengths=(boxes(segmentation=RLE), 'ok', ''),
    compressed_run_lengths=(boxes(segmentation=dict(size=[48, 64], counts='X6P?hZ2')), 'ok', ''),
    empty_run_lengths=(boxes(segmentation=dict(size=[48, 64], counts='')), 'mended',
                       '4 of 4 boxes have a mask'),
    run_lengths_of_zeros=(boxes(segmentation=dict(size=[48, 64], counts='0' * 50)), 'mended',
                          '4 of 4 boxes have a mask'),
    not_a_number_in_a_polygon=(boxes(segmentation=[[1, 1, float('nan'), 5, 9, 1]]), 'mended',
                               '4 of 4 boxes have a mask'),
    a_flat_polygon=(boxes(segmentation=[1, 1, 5, 5, 1, 5]), 'mended', 'in no format of COCO'),
    points=(boxes(segmentation=[[[1, 1], [5, 5], [1, 5]]]), 'mended', 'in no format of COCO'),
    id_0=(boxes(id=lambda b: b['id'] - 1), 'mended', 'takes for "not found"'),
    no_id=(boxes(id=GONE), 'mended', "have no number as 'id'"),
    id_twice=(box(1, id=1), 'mended', 'have the id of another box'),
    id_text=(boxes(id=lambda b: f'ann{b["id"]}'), 'mended', "have no number as 'id'"),
    ids_below_0=(boxes(id=lambda b: -b['id']), 'mended', '4 of 4 boxes have an id that is no wh'),
    ids_above_2_to_the_63=(boxes(id=lambda b: b['id'] + 2 ** 63), 'mended', '4 of 4 boxes have an'),
    an_id_between_two_numbers=(box(1, id=1.5), 'mended', '1 of 4 boxes have an id that is no whol'),
    nothing_annotated=(lambda c: c.update(annotations=[]), 'refused', 'no box is left'),
    # images
    no_size=(both(rows('images', width=GONE, height=GONE)), 'mended', "have no 'width'"),
    size_0=(rows('images', width=0, height=0), 'mended', "have no 'width'"),
    size_text=(rows('images', width='64', height='48'), 'mended', "width='64'"),
    size_of_hundreds_of_digits=(rows('images', width=10 ** 400), 'mended', 'width=1000'),
    size_mirrored=(_mirror_size, 'mended', "'a.png' is 64 x 48, stated is 48 x 64"),
    size_of_the_large_original=(both(rows('images', width=640, height=480), boxes(
        bbox=lambda b: [10 * v for v in b['bbox']])), 'refused', 'stated is 640 x 480'),
    backslash=(rows('images', file_name=lambda e: 'images\\' + e['file_name']), 'mended',
               'has a backslash'),
    other_machine=(rows('images', file_name=lambda e: '/home/me/img/' + e['file_name']), 'mended',
                   "the folder has 'a.png'"),
    other_drive=(rows('images', file_name=lambda e: 'D:\\data\\' + e['file_name']), 'mended',
                 'has a backslash'),
    upper_case=(rows('images', file_name=lambda e: e['file_name'].upper()), 'mended',
                "'A.PNG', but the folder has 'a.png'"),
    label_studio_url=(rows('images', file_name=lambda e: '/data/local-files/?d=set%2F'
                           + e['file_name']), 'mended', "the folder has 'a.png'"),
    two_rows_one_file=(rows('images', file_name=lambda e: f'cam{e["id"] % 2}/'
                            + ('c' if e['id'] == 3 else 'a') + '.png'), 'refused',
                       "'cam1/a.png' and 'cam0/a.png' are both 'a.png'"),
    same_file_by_another_path=(row('images', 1, file_name='./a.png'), 'refused',
                               "'a.png' and './a.png' are both './a.png'"),
    missing_image=(row('images', 1, file_name='missing.png'), 'refused',
                   "1 of 3 images are not in"),
    first_image_missing=(row('images', 0, file_name='gone.png'), 'refused', "'gone.png'"),
    # no instances at all
    no_category_id=(box(0, category_id=GONE), 'refused',
                    "have no usable 'category_id'; the first: annotations[0] (id 1)"),
    no_image_id=(box(0, image_id=GONE), 'refused', "'image_id'"),
    image_without_id=(row('images', 0, id=GONE), 'refused', "'id'; the first: images[0]"),
    image_without_name=(row('images', 0, file_name=GONE), 'refused', "'file_name'"),
    category_without_name=(row('categories', 0, name=GONE), 'refused', "'name'"),
    category_without_id=(row('categories', 0, id=GONE), 'refused', "'id'"),
    half_a_character_as_name=(row('categories', 0, name='\ud800'), 'refused', "name='\\ud800'"),
    a_file_name_that_is_too_long=(row('images', 0, file_name='x' * 300), 'refused',
                                  '1 of 3 images are not in'),
    panoptic=(lambda c: c.update(annotations=[dict(image_id=1, segments_info=[])]), 'refused',
              'panoptic segmentation'),
    captions=(lambda c: c.update(annotations=[dict(image_id=1, id=1, caption='a cat')]),
              'refused', 'captions'),
    boxes_as_a_dict=(lambda c: c.update(annotations={'1': {}}), 'refused',
                     "'annotations' is a dict, not a list"),
    boxes_as_text=(lambda c: c.update(annotations=['a']), 'refused', "annotations[0] is 'a'"),
    images_of_none=(lambda c: c.update(images=[None]), 'refused', 'images[0]'),
    no_boxes_key=(lambda c: c.pop('annotations'), 'refused', "it has no 'annotations'"),
    template_as_a_name=(row('categories', 0, name='{{$N:A}}'), 'refused',
                        "have '{{' in their names, which MMEngine replaces in a config; the first: "
                        "categories[0]"),
    no_categories=(lambda c: c.update(categories=[]), 'refused', "'categories' is an empty list"),
    no_images=(lambda c: c.update(images=[]), 'refused', "'images' is an empty list"))
LFS = b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n'


def _exif(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    # stored as 64 x 48, shown as 48 x 64
    Image.new('RGB', SIZE).save(path, 'PNG' if path.suffix == '.png' else 'JPEG', exif=exif)


def _cut(kind):
    """A picture of which a tenth is missing at the end of the file."""
    def write(path):
        Image.effect_noise(SIZE, 50).convert('RGB').save(path, kind)
        path.write_bytes(path.read_bytes()[:-path.stat().st_size // 10])
    return write


def _with_more_behind(path):
    """As phones write it: another file follows on the picture."""
    Image.effect_noise(SIZE, 50).convert('RGB').save(path, 'JPEG')
    path.write_bytes(path.read_bytes() + b'a film' * 20)


def _flipped(path):
    """A PNG with wrong bytes in its middle."""
    Image.effect_noise(SIZE, 50).save(path, 'PNG')
    data, middle = bytearray(path.read_bytes()), path.stat().st_size // 2
    data[middle:middle + 9] = b'\xff\0\xff\0\xff\0\xff\0\xff'
    path.write_bytes(data)


def _odd_checksum(path):
    """A PNG that OpenCV reads, with a wrong checksum of a comment."""
    from PIL.PngImagePlugin import PngInfo
    text = PngInfo()
    text.add_text('Comment', 'hello')
    Image.effect_noise(SIZE, 50).save(path, 'PNG', pnginfo=text)
    path.write_bytes(path.read_bytes().replace(b'hello', b'jello'))


def _floats(path):
    Image.effect_noise(SIZE, 50).convert('F').save(path, 'TIFF')


def _reads_cut_jpegs():
    """Whether this OpenCV shows grey in place of the rest, as versions before 5 do."""
    with tempfile.TemporaryDirectory() as folder:
        _cut('JPEG')(Path(folder, 'a'))
        return cv2.imdecode(np.fromfile(Path(folder, 'a'), np.uint8), cv2.IMREAD_COLOR) is not None


# image files, with good annotations
FILES = dict(
    cut_jpeg=({'b.png': _cut('JPEG')}, 'warn',
              "1 of 3 images are cut off: MMDetection sees grey in place of the rest; the first: "
              "'b.png'") if _reads_cut_jpegs() else (
                  {'b.png': _cut('JPEG')}, 'refused',
                  '1 of 3 images cannot be opened as an image by OpenCV'),
    cut_png=({'b.png': _cut('PNG')}, 'refused', 'cannot be opened as an image'),
    cut_bmp=({'b.png': _cut('BMP')}, 'refused', 'cannot be opened as an image'),
    cut_tiff=({'b.png': _cut('TIFF')}, 'refused', 'cannot be opened as an image'),
    tiff_of_floats=({'b.png': _floats}, 'refused', 'cannot be opened as an image'),
    whole_tiff=({'b.png': lambda path: Image.new('RGB', SIZE).save(path, 'TIFF')}, 'ok', ''),
    tga=({'b.png': lambda path: Image.new('RGB', SIZE).save(path, 'TGA')}, 'refused',
         'cannot be opened as an image'),
    flipped_bytes=({'b.png': _flipped}, 'refused', 'cannot be opened as an image'),
    wrong_checksum_of_a_comment=({'b.png': _odd_checksum}, 'ok', ''),
    jpeg_with_more_behind=({'b.png': _with_more_behind}, 'ok', ''),
    empty_image=({'b.png': b''}, 'refused', "are empty files"),
    pointer=({'b.png': LFS}, 'refused', 'pointers of git LFS'),
    no_image=({'b.png': b'<html>404</html>' * 50}, 'refused', 'cannot be opened as an image'),
    twice_as_large=({f'{n}.png': lambda path: Image.new('RGB', (128, 96)).save(path)
                     for n in 'abc'}, 'refused', "'a.png' is 128 x 96, stated is 64 x 48"),
    turned_by_exif=({f'{n}.png': _exif for n in 'abc'}, 'refused', 'turned by their EXIF tag'),
    a_pixel_larger=({'a.png': lambda path: Image.new('RGB', (65, 48)).save(path)}, 'mended',
                    "'a.png' is 65 x 48"))
# files that are read byte by byte
BYTES = dict(
    bom=(b'\xef\xbb\xbf' + json.dumps(good()).encode(), 'mended', 'byte order mark'),
    utf_16=(json.dumps(good()).encode('utf-16'), 'mended', 'byte order mark'),
    gzip=(gzip.compress(json.dumps(good()).encode()), 'refused', 'is compressed by gzip'),
    utf_16_without_mark=(json.dumps(good()).encode('utf-16-be'), 'refused',
                         'is encoded in UTF-16, without a byte order mark'),
    utf_32=(json.dumps(good()).encode('utf-32'), 'refused', 'is encoded in UTF-32'),
    utf_32_without_mark=(json.dumps(good()).encode('utf-32-le'), 'refused',
                         'is encoded in UTF-32, without a byte order mark'),
    zeros=(bytes(4096), 'refused', 'has nothing but zeros'),
    latin_1=(json.dumps(good(), ensure_ascii=False).replace('apple', 'p\xe4rl').encode('latin-1'),
             'refused', 'not encoded in UTF-8'),
    two_lists=(json.dumps(good()).encode()[:-1] + b', "annotations": []}', 'refused',
               "'annotations', 'categories' has two values of 'annotations'"),
    two_boxes_in_one_row=(json.dumps(good()).encode().replace(
        b'"bbox": [0,', b'"bbox": [1, 1, 9, 9], "bbox": [0,'), 'refused',
        "the row of id 3 has two values of 'bbox'"),
    one_value_twice=(json.dumps(good()).encode().replace(
        b'"iscrowd": 0', b'"iscrowd": 0, "iscrowd": 0'), 'ok', ''),
    half=(json.dumps(good()).encode()[:200], 'refused', 'no complete JSON'),
    a_list=(b'[{"image": "a.png"}]', 'refused', 'it is a list at its top level'),
    a_number=(b'3', 'refused', 'no COCO annotation file'),
    nothing=(b'', 'refused', 'is empty'),
    deep=(b'[' * 100000, 'refused', 'no complete JSON'),
    pointer_of_the_json=(LFS, 'refused', 'pointer of git LFS'))
