"""YOLO's labels are numbers: which name each one has must be clear, or the data are refused."""
import pytest
from data.layouts import boxes, image, text

from ctkd_det_data import DataError, find_coco
from ctkd_det_data.convert import convert


def converted(root, labels, **sheets):
    """The names that a label of each image gets; image i has one box of the label labels[i]."""
    for part in ('train', 'val'):
        image(root / 'in' / 'images' / part / f'{part}.png')
        text(root / 'in' / 'labels' / part / f'{part}.txt',
             ''.join(f'{label} .5 .5 .25 .5\n' for label in labels))
    for name, content in sheets.items():
        text(root / 'in' / name.replace('__', '/').replace('_', '.'), content)
    convert(root / 'in', root / 'out', 'yolo')
    assert boxes(root / 'out', 'train') == boxes(root / 'out', 'val')
    return [name for name, _, _ in boxes(root / 'out')]


def test_quoted_labels_are_numbers(tmp_path):
    """Sorted as text, '10' and '11' come before '2'."""
    names = ''.join(f"  '{i}': name{i}\n" for i in range(12))
    assert converted(tmp_path, [1, 2, 10, 11], data_yaml=f'names:\n{names}') == [
        'name1', 'name2', 'name10', 'name11']
    assert find_coco(tmp_path / 'out').classes == tuple(f'name{i}' for i in range(12))


def test_labels_that_do_not_begin_at_0(tmp_path):
    assert converted(tmp_path, [1, 2, 3], data_yaml='names: {1: cat, 3: cow, 2: dog}') == [
        'cat', 'dog', 'cow']
    assert find_coco(tmp_path / 'out').classes == ('cat', 'dog', 'cow')


@pytest.mark.parametrize('label', ['0', '1.5', '-1', 'nan'])
def test_a_label_without_a_name(label, tmp_path):
    with pytest.raises(DataError, match=r'train.txt, line 2: .* is not the number of one of 3'):
        converted(tmp_path, [1, label], data_yaml='names: {1: cat, 2: dog, 3: cow}')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('named', ['data/coco.names', 'coco.names'])
def test_names_in_a_file_of_their_own(named, tmp_path):
    assert converted(tmp_path, [1, 0], data_yaml=f'names: {named}', **{
        named.replace('/', '__').replace('.', '_'): 'cat\ndog\n\n'}) == ['dog', 'cat']


# each line has ten times as many cats
ALIASES = 'a: &a [cat, cat]\n' + ''.join(
    f'{b}: &{b} [{", ".join(["*" + a] * 10)}]\n' for a, b in zip('abcdefg', 'bcdefgh', strict=True)
) + 'names: [*h]\n'
REFUSED = dict(
    no_such_file=(dict(data_yaml='names: coco.names'),
                  "names is 'coco.names', and there is no such file"),
    another_number=(dict(data_yaml='nc: 1\nnames: [cat, dog]'), 'nc is 1, and names has 2'),
    a_file_of_this_machine=(dict(data_yaml='names: /etc/hostname'), 'there is no such file'),
    a_file_above=(dict(data_yaml='names: ../../../../../../../../etc/hostname'),
                  'there is no such file'),
    booleans=(dict(data_yaml='names: [yes, no]'),
              "reads one of the names as True.*write it in quotes"),
    a_boolean_as_label=(dict(data_yaml='names: {yes: cat}'), 'True in names is no label'),
    nothing=(dict(data_yaml='names: [cat, ~]'), 'one of the names as None'),
    words_as_labels=(dict(data_yaml='names: {cat: 0, dog: 1}'), "'cat' in names is no label"),
    one_name_twice=(dict(data_yaml='names: [cat, dog, cat]'), "several classes are called 'cat'"),
    one_label_twice=(dict(data_yaml='names: {0: cat, "0": dog}'), 'a label has two names'),
    a_key_twice=(dict(data_yaml='nc: 1\nnames: [cat]\nnames: [dog]'),
                 r"data.yaml is no YAML \(the key 'names' is there twice\)"),
    a_key_twice_within=(dict(data_yaml='names: {0: cat, 1: dog, 1: cow}'), "'1' is there twice"),
    aliases=(dict(data_yaml=ALIASES), 'YAML reads one of the names as .{,90}, which is no text'),
    aliases_as_labels=(dict(data_yaml=ALIASES.replace('names: [*h]', 'names: {0: *h}')),
                       'YAML reads one of the names as .{,90}, which is no text'),
    a_gap=(dict(classes_txt='cat\n\ndog\n'), 'classes.txt, line 2 is empty'),
    a_stray_yaml=(dict(data_yaml='names: [cat, dog]', coco_yaml='names: [person, car, bus]'),
                  r'in/data.yaml and \S*in/coco.yaml name different classes: 2 \(0: cat, 1: dog\)'),
    two_lists=(dict(labels__train__classes_txt='cat\ndog', labels__val__classes_txt='dog\ncat'),
               r'labels/train/classes.txt and \S*labels/val/classes.txt name different'),
    list_and_yaml=(dict(data_yaml='names: [cat, dog]', labels__classes_txt='dog\ncat'),
                   r'in/data.yaml and \S*in/labels/classes.txt name different'))


@pytest.mark.parametrize('case', REFUSED)
def test_refused(case, tmp_path):
    sheets, said = REFUSED[case]
    with pytest.raises(DataError, match=said):
        converted(tmp_path, [0], **sheets)
    assert not (tmp_path / 'out').exists()


def test_the_same_names_in_several_files(tmp_path):
    assert converted(tmp_path, [1], data_yaml='names: [cat, dog]', labels__classes_txt='cat\ndog\n',
                     other_yaml='names: {0: cat, 1: dog}') == ['dog']


def test_keys_that_a_mapping_takes_from_another(tmp_path):
    """They may stand there again, in whatever order YAML resolves them."""
    assert converted(tmp_path, [1], data_yaml=(
        'x: [[&a {lr: 1, k: &b {<<: {lr: 3}, lr: 2}}]]\ny: {<<: *b, lr: 3}\n'
        'z: {<<: *a, lr: 4}\nw: {<<: *a, <<: *b}\nnames: [cat, dog]')) == ['dog']


def test_digits_are_names(tmp_path):
    assert converted(tmp_path, [1], data_yaml='names: [0, 7]') == ['7']


@pytest.mark.parametrize('name', ['data_yaml', 'labels__classes_txt'])
def test_another_encoding(name, tmp_path):
    content = 'names: [k\xe4se]' if 'yaml' in name else 'k\xe4se'
    with pytest.raises(DataError, match='is not encoded in UTF-8 .byte .*save it as UTF-8'):
        converted(tmp_path, [0], **{name: content.encode('cp1252')})
    assert converted(tmp_path, [0], **{name: content.encode('utf-16')}) == ['k\xe4se']


@pytest.mark.parametrize('name, content', [
    ('compose.yaml', 'services: {}\n---\nservices: {}\n'), ('opt.yaml', 'names: exp3\n'),
    ('x.yml', 'a: !!python/object:os.system {}\n'),
    ('y.yml', 'a: 1\na: 2\n')])
def test_a_yaml_file_of_another_program(name, content, tmp_path):
    text(tmp_path / 'in' / 'other' / name, content)
    assert converted(tmp_path, [1], data_yaml='names: [cat, dog]') == ['dog']


def test_folders_of_the_system_are_no_data(tmp_path):
    text(tmp_path / 'in' / 'lost+found' / 'classes.txt', 'cow')
    assert converted(tmp_path, [1], data_yaml='names: [cat, dog]') == ['dog']
